"""The photos that region classifiers and MultiBox learn from."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from incdet.config.sections import ImagesConfig, Section
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.readers import Collection, read_dataset
from incdet.errors import DataError
from incdet.images import read_image
from incdet.structures import Image


class DataConfig(Section):
    """Where the photos are.

    Attributes:
        dataset, root, split: as for `incdet evaluate`.
        validation_images: this many photos of the split, evenly spaced, are kept out of training and judged instead.
        validation_proposals: best proposals per validation photo that are classified.
        extra_split: photos whose objects are learnt, too, but no background: not all that they show is annotated, as in
            ILSVRC's train.
        extra_boxes_per_class: so many of their objects at most, drawn at random; the others are ignored.
    """

    dataset: Literal["voc", "coco", "ilsvrc"] = "voc"
    root: str
    split: str = "train"
    validation_images: int = Field(32, ge=0)
    validation_proposals: int = Field(300, ge=1)
    extra_split: str | None = None
    extra_boxes_per_class: int = Field(1000, ge=1)


def read_training_photos(config: DataConfig, seed: int, warn: Warn = no_warning) -> tuple[Dataset, Dataset | None]:
    """The photos of the split, without blacklisted ones, and those of the extra split, if any, with objects drawn.

    R-CNN's choice for ILSVRC is val1 and up to 1000 boxes of each class from train.

    Args:
        config: which photos.
        seed: of the drawing.
        warn: see `read_dataset`.

    Raises:
        DataError: the data set cannot be read.
    """
    collection, root = Collection(config.dataset), Path(config.root)
    dataset = read_dataset(collection, root, config.split, warn=warn)
    blacklisted = {position for position, _ in dataset.blacklist}
    if blacklisted:
        dataset = dataset.subset([index for index in range(len(dataset)) if index not in blacklisted])
    if config.extra_split is None:
        return dataset, None
    extra = read_dataset(collection, root, config.extra_split, warn=warn)
    return dataset, limit_objects(extra, config.extra_boxes_per_class, seed)


def limit_objects(dataset: Dataset, per_class: int, seed: int) -> Dataset:
    """The photos with at most so many objects of each class; the others are ignored, photos without any left out.

    Args:
        dataset: all photos.
        per_class: objects of a class that stay, if there are more drawn at random.
        seed: of the drawing.
    """
    owners = np.repeat(np.arange(len(dataset)), [len(truth) for truth in dataset.ground_truths])
    classes = np.concatenate([truth.class_ids for truth in dataset.ground_truths])
    ignored = np.concatenate([truth.ignored for truth in dataset.ground_truths])
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~ignored))
    kept = np.zeros(len(classes), bool)
    for class_id in np.unique(classes):
        kept[order[classes[order] == class_id][:per_class]] = True
    starts = np.searchsorted(owners, np.arange(1, len(dataset)))
    flags = np.split(~kept, starts)
    truths = [replace(truth, ignored=flag) for truth, flag in zip(dataset.ground_truths, flags, strict=True)]
    return replace(dataset, ground_truths=tuple(truths)).subset(np.unique(owners[kept]).tolist())


class PhotoStore:
    """Photos by index, kept decoded in memory up to a limit, read from disk beyond it."""

    def __init__(self, paths: tuple[Path, ...], gigabytes: float):
        self._paths = paths
        self._room = gigabytes * 1e9
        self._kept: dict[int, Image] = {}

    def __call__(self, index: int) -> Image:
        """The photo with this index.

        Raises:
            ImageError: it cannot be read.
        """
        if index not in self._kept:
            image = read_image(self._paths[index], ImagesConfig())
            if image.pixels.nbytes > self._room:
                return image
            self._room -= image.pixels.nbytes
            self._kept[index] = image
        return self._kept[index]


def split_validation(dataset: Dataset, num_validation: int) -> tuple[Dataset, Dataset]:
    """(training photos, validation photos), the latter evenly spaced over the data set.

    Raises:
        DataError: no photo is left to train on.
    """
    chosen = set(np.linspace(0, len(dataset) - 1, num_validation).round().astype(int).tolist())
    rest = [index for index in range(len(dataset)) if index not in chosen]
    if not rest:
        raise DataError(
            f"no photo is left to train on: {dataset.name} has {len(dataset)}, and data.validation_images keeps "
            f"{num_validation} for validation; lower it, or give more photos"
        )
    return dataset.subset(rest), dataset.subset(sorted(chosen))
