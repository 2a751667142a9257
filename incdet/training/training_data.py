"""The photos that region classifiers and MultiBox learn from."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from incdet.config.sections import Section
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.impossible_boxes import learnable
from incdet.data.layouts import find_layout
from incdet.data.readers import Collection, read_dataset
from incdet.errors import DataError
from incdet.ops.even_spacing import evenly_spaced_with_ends

MAX_VALIDATION_PHOTOS = 32
"""Largest number of photos that are kept out of training where nothing else is said."""


class DataConfig(Section):
    """The photos of a training.

    Attributes:
        dataset: layout of the data set, as for `incdet evaluate`; "auto" tells it by the files in the folder.
        root: folder of the data set.
        split: split of the data set that is learnt.
        validation_images: number of photos of the split, evenly spaced, that are kept out of training; the validation
            judges the network on them. None keeps a tenth, at most 32.
        validation_proposals: number of proposals, the best ones, that the validation uses of each photo.
        extra_split: split whose objects are learnt, too, but no background, because not every object in its photos is
            annotated, as in ILSVRC's train; None is none.
        extra_boxes_per_class: largest number of objects of a class that are learnt from `extra_split`, drawn at
            random; the others are ignored.
    """

    dataset: Literal["auto", "voc", "coco", "ilsvrc", "yolo"] = "voc"
    root: str
    split: str = "train"
    validation_images: int | None = Field(None, ge=0)
    validation_proposals: int = Field(300, ge=1)
    extra_split: str | None = None
    extra_boxes_per_class: int = Field(1000, ge=1)

    def collection(self) -> Collection:
        """Returns the layout of the data set.

        Raises:
            DataError: The layout is to be told by the files, and the folder is missing or has those of no layout.
        """
        return find_layout(Path(self.root)) if self.dataset == "auto" else Collection(self.dataset)


def read_training_photos(config: DataConfig, seed: int, warn: Warn = no_warning) -> tuple[Dataset, Dataset | None]:
    """Reads the photos of the split, without blacklisted ones, and those of the extra split, with objects drawn.

    R-CNN's choice for ILSVRC is val1 and up to 1000 boxes of each class from train.

    Args:
        config: choice of the photos.
        seed: seed of the drawing.
        warn: takes a sentence about every oddity of the annotations; see `read_dataset`.

    Returns:
        The photos of the split and those of the extra split, which is None without `extra_split`.

    Raises:
        DataError: the data set cannot be read.
    """
    collection, root = config.collection(), Path(config.root)
    dataset = read_dataset(collection, root, config.split, warn=warn)
    # a blacklisted photo shows objects of a class that nobody annotated, which would be learnt as background
    blacklisted = {position for position, _ in dataset.blacklist}
    if blacklisted:
        dataset = dataset.subset([index for index in range(len(dataset)) if index not in blacklisted])
    if config.extra_split is None:
        return dataset, None
    extra = read_dataset(collection, root, config.extra_split, warn=warn)
    return dataset, limit_objects_per_class(extra, config.extra_boxes_per_class, seed)


def without_unknown_places(dataset: Dataset, warn: Warn) -> Dataset:
    """Returns the data set without photos of which an object's place is not known, because all else is no object.

    Args:
        dataset: the photos.
        warn: takes a sentence about their number.
    """
    kept = []
    for index, truth in enumerate(dataset.ground_truths):
        if learnable(truth).num_impossible == 0:
            kept.append(index)
    if len(kept) == len(dataset):
        return dataset
    warn(f"{len(dataset) - len(kept):,} of {len(dataset):,} photos with impossible boxes are not learnt from")
    return dataset.subset(kept)


def limit_objects_per_class(dataset: Dataset, max_per_class: int, seed: int) -> Dataset:
    """Draws objects of every class and marks the others as ignored; photos without a drawn object are left out.

    Args:
        dataset: the photos.
        max_per_class: largest number of objects of a class that stay.
        seed: seed of the drawing.
    """
    truths = dataset.ground_truths
    # all objects of all photos in one row: [N] class, [N] index of the photo
    classes = np.concatenate([truth.class_ids for truth in truths])
    ignored = np.concatenate([truth.ignored for truth in truths])
    photos = np.repeat(np.arange(len(dataset)), [len(truth) for truth in truths])
    # in a random order, the first ones of every class stay
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~ignored))
    kept = np.zeros(len(classes), bool)
    for class_id in np.unique(classes):
        kept[order[classes[order] == class_id][:max_per_class]] = True
    limited = []
    start = 0
    for truth in truths:
        end = start + len(truth)
        limited.append(replace(truth, ignored=~kept[start:end]))
        start = end
    return replace(dataset, ground_truths=tuple(limited)).subset(np.unique(photos[kept]).tolist())


def num_validation_photos(num_photos: int, wanted: int | None) -> int:
    """Returns the number of photos that are kept out of training.

    >>> [num_validation_photos(number, None) for number in (1, 8, 40, 3482)]
    [0, 1, 4, 32]

    Args:
        num_photos: number of photos of the split.
        wanted: `DataConfig.validation_images`; None is a tenth of the photos, between 1 and 32, but not the only one.
    """
    if wanted is not None:
        return wanted
    return min(max(num_photos // 10, 1), MAX_VALIDATION_PHOTOS, num_photos - 1)


def split_validation(dataset: Dataset, wanted: int | None) -> tuple[Dataset, Dataset]:
    """Splits a data set into photos to train on and evenly spaced photos for validation.

    Args:
        dataset: the photos.
        wanted: number of photos for validation; see `num_validation_photos`.

    Returns:
        The photos to train on and those for validation.

    Raises:
        DataError: no photo is left to train on.
    """
    num_validation = num_validation_photos(len(dataset), wanted)
    validation = evenly_spaced_with_ends(len(dataset), num_validation).tolist()
    training = sorted(set(range(len(dataset))) - set(validation))
    if not training:
        raise DataError(
            f"no photo is left to train on: {dataset.name} has {len(dataset)}, and data.validation_images keeps "
            f"{num_validation} for validation; lower it, or give more photos"
        )
    return dataset.subset(training), dataset.subset(validation)
