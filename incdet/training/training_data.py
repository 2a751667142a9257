"""The photos that region classifiers and MultiBox learn from."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from incdet.config.sections import Section
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.impossible_boxes import learnable
from incdet.data.layouts import find_layout
from incdet.data.readers import Collection, read_dataset
from incdet.runtime.counted_words import of_all
from incdet.training.validation_photos import find_validation_split, read_validation_split


class DataConfig(Section):
    """The photos of a training.

    Attributes:
        dataset: layout of the data set, as for `incdet evaluate`; "auto" tells it by the files in the folder.
        root: folder of the data set; of shards, it may be an address such as s3://bucket/folder.
        split: split of the data set that is learnt.
        validation_images: number of photos of the split, evenly spaced by their names, that are kept out of training;
            the validation judges the network on them. None keeps none where the data set has a split `val`, which then
            judges the network, and otherwise a tenth, at most 32. With `validation_split` it is the number of photos
            of that split.
        validation_split: split whose photos judge the network, at most 100 where `validation_images` gives no number.
            None takes `val` where the data set has it and `validation_images` is not given.
        validation_proposals: number of proposals, the best ones, that the validation uses of each photo.
        extra_split: split whose objects are learnt, too, but no background, because not every object in its photos is
            annotated, as in ILSVRC's train; None is none.
        extra_boxes_per_class: largest number of objects of a class that are learnt from `extra_split`, drawn at
            random; the others are ignored.
    """

    dataset: Literal["auto", "voc", "coco", "ilsvrc", "yolo", "shards"] = "voc"
    root: str
    split: str = "train"
    validation_images: int | None = Field(None, ge=0)
    validation_split: str | None = None
    validation_proposals: int = Field(300, ge=1)
    extra_split: str | None = None
    extra_boxes_per_class: int = Field(1000, ge=1)

    def collection(self) -> Collection:
        """Returns the layout of the data set.

        Raises:
            DataError: The layout is to be told by the files, and the folder is missing or has those of no layout.
        """
        return find_layout(Path(self.root)) if self.dataset == "auto" else Collection(self.dataset)


class PhotosOfTraining(NamedTuple):
    """The photos of a training as they are read.

    Attributes:
        dataset: photos of the split that is learnt. Some are kept out for validation where `validation` is None.
        extra: photos that only lend their objects; None without such a split.
        validation: photos of another split, which judge the network; None where photos of `dataset` do.
    """

    dataset: Dataset
    extra: Dataset | None = None
    validation: Dataset | None = None

    @property
    def image_paths(self) -> tuple[Path, ...]:
        """Files of all photos."""
        parts = [part.image_paths for part in (self.dataset, self.extra, self.validation) if part is not None]
        return sum(parts, ())


def read_training_photos(config: DataConfig, seed: int, warn: Warn = no_warning) -> PhotosOfTraining:
    """Reads the photos of the split, without blacklisted ones, those of the extra split, with objects drawn, and those
    that judge the network.

    R-CNN's choice for ILSVRC is val1 and up to 1000 boxes of each class from train.

    Args:
        config: choice of the photos.
        seed: seed of the drawing.
        warn: takes a sentence about every oddity of the annotations; see `read_dataset`.

    Raises:
        DataError: the data set cannot be read, or the split of the validation has photos or classes that do not fit.
    """
    collection, root = config.collection(), Path(config.root)
    dataset = read_dataset(collection, root, config.split, warn=warn)
    # a blacklisted photo shows objects of a class that nobody annotated, which would be learnt as background
    blacklisted = {position for position, _ in dataset.blacklist}
    if blacklisted:
        dataset = dataset.subset([index for index in range(len(dataset)) if index not in blacklisted])
    extra = None
    if config.extra_split is not None:
        extra = read_dataset(collection, root, config.extra_split, warn=warn)
        extra = limit_objects_per_class(extra, config.extra_boxes_per_class, seed)
    return PhotosOfTraining(dataset, extra, _validation_split(config, collection, dataset, warn))


def _validation_split(config: DataConfig, collection: Collection, dataset: Dataset, warn: Warn) -> Dataset | None:
    """Reads the photos of another split that judge the network; None where some of `dataset` do."""
    root = Path(config.root)
    if config.validation_split is not None:
        split, wanted = config.validation_split, config.validation_images
        return read_validation_split(dataset, collection, root, split, wanted, warn)
    # a number of photos means photos of the split that is learnt
    if config.validation_images is not None:
        return None
    return find_validation_split(dataset, collection, root, config.split, warn)


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
    warn(f"not learnt because of impossible boxes: {of_all(len(dataset) - len(kept), len(dataset), 'photo')}")
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
