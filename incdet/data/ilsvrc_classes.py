"""The 200 classes of ILSVRC's detection task, and the classification classes (synsets of WordNet) that belong to each.

The table is a file of the package, which `experiments/make_ilsvrc_classes.py` makes; its header names its sources.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("ilsvrc_classes.tsv")
"""The table."""

VOC_NAMES: Mapping[str, str] = {
    "aeroplane": "airplane",
    "boat": "watercraft",
    "cat": "domestic_cat",
    "cow": "cattle",
    "diningtable": "table",
    "motorbike": "motorcycle",
    "tvmonitor": "tv_or_monitor",
    **{
        name: name
        for name in ("bicycle", "bird", "bus", "car", "chair", "dog", "horse", "person", "sheep", "sofa", "train")
    },
}
"""Class of PASCAL VOC -> class of ILSVRC. VOC's "bottle" and "pottedplant" are no classes of ILSVRC, which knows wine
bottles, water bottles and flower pots."""


@dataclass(frozen=True)
class IlsvrcClass:
    """One of the 200 classes.

    Attributes:
        number: number in result files, from 1.
        wordnet_id: the synset's WordNet id.
        name: name in the development kit.
        synsets: WordNet ids of the classification classes that are kinds of it, itself included.
        similar: WordNet ids of classification classes that are none of its kinds in WordNet, but whose photos show it.
    """

    number: int
    wordnet_id: str
    name: str
    synsets: tuple[str, ...]
    similar: tuple[str, ...]


@cache
def ilsvrc_classes() -> tuple[IlsvrcClass, ...]:
    """Returns the 200 classes in the development kit's order."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    classes = []
    # the first line has the headings
    for line in lines[1:]:
        number, wordnet_id, name, synsets, similar = line.split("\t")
        others = () if similar == "-" else tuple(similar.split())
        classes.append(IlsvrcClass(int(number), wordnet_id, name, tuple(synsets.split()), others))
    return tuple(classes)


def class_of_synset() -> dict[str, int]:
    """Returns the class id, from 0, of every classification class that belongs to one of the 200 classes."""
    class_ids = {}
    for kind in ilsvrc_classes():
        for synset in (*kind.synsets, *kind.similar):
            class_ids[synset] = kind.number - 1
    return class_ids


def class_probabilities(probabilities: np.ndarray, synsets: Sequence[str]) -> np.ndarray:
    """Adds up the probabilities of a classifier's synsets for each of the 200 classes.

    Args:
        probabilities: [N, S] float32, of the S synsets.
        synsets: WordNet ids of the columns.

    Returns:
        [N, 200] float32. A row adds up to less than 1 where there are synsets that belong to none of the classes.
    """
    class_ids = class_of_synset()
    result = np.zeros((len(probabilities), len(ilsvrc_classes())), np.float32)
    for column, synset in enumerate(synsets):
        if synset in class_ids:
            result[:, class_ids[synset]] += probabilities[:, column]
    return result
