"""The commands that use what a training has made, for its last lines."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from incdet.data.collection import Collection
from incdet.data.layouts import split_synonyms
from incdet.data.readers import read_dataset
from incdet.errors import IncdetError
from incdet.training.training_data import DataConfig


def region_commands(weights: Sequence[Path], data: DataConfig) -> list[str]:
    """Returns the command that detects with trained region classifiers, and one that evaluates them.

    Args:
        weights: Files of the weights; several are an ensemble.
        data: The photos of the training, whose data set may have a split for evaluation.
    """
    options = " ".join(f"--weights {shlex.quote(str(file))}" for file in weights)
    commands = [f"incdet detect photo.jpg {options}"]
    collection = data.collection()
    if _has_validation_split(collection, data):
        root = shlex.quote(data.root)
        # of an ensemble, the folder of all members
        folder = Path(os.path.commonpath([file.parent for file in weights]))
        report = f"--output {shlex.quote(str(folder / 'evaluation'))}"
        commands.append(
            f"incdet evaluate --dataset {collection} --root {root} --split val --rules voc {options} {report}"
        )
    return commands


def multibox_commands(weights: Path) -> list[str]:
    """Returns the command that detects with a trained MultiBox network."""
    return [f"incdet detect photo.jpg --set {shlex.quote(f'proposals.multibox.weights={weights}')}"]


def classifier_commands(weights: Path) -> list[str]:
    """Returns the command that classifies whole photos with a trained network."""
    return [f"incdet classify photo.jpg --weights {shlex.quote(str(weights))}"]


def _has_validation_split(collection: Collection, data: DataConfig) -> bool:
    """Whether the data set has a split "val" that can be read and was not learnt."""
    if data.split in split_synonyms("val"):
        return False
    try:
        read_dataset(collection, data.root, "val")
    except IncdetError:
        return False
    return True
