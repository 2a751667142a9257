"""Checks of the photos of a training, before anything that takes long is computed from them."""

from collections.abc import Sequence

import numpy as np

from incdet.data.dataset import Dataset, Warn
from incdet.data.impossible_boxes import learnable
from incdet.data.photo_frame import read_photo_size
from incdet.errors import DataError, ImageError
from incdet.runtime.counted_words import counted, first_ones, of_all
from incdet.runtime.shard_photos import ShardPhoto
from incdet.training.training_data import DataConfig, PhotosOfTraining
from incdet.training.validation_photos import split_validation

MAX_NAMES = 5
"""Largest number of names in one sentence."""


def check_files(dataset: Dataset) -> None:
    """Makes sure that every photo is there.

    Raises:
        DataError: Photos are missing; the message counts them and names one.
    """
    missing = [path for path in dataset.image_paths if not path.is_file()]
    if missing:
        raise DataError(
            f"cannot train on {dataset.name}: {of_all(len(missing), len(dataset), 'photo')} "
            f"{'is' if len(missing) == 1 else 'are'} missing, such as {missing[0]}; put what is missing there, or "
            "correct the annotations"
        )


def check_photos(dataset: Dataset) -> None:
    """Makes sure that every photo is there and begins as a photo does.

    Photos in shards are not opened: at an address this would take a request for each. The training replaces those that
    cannot be read.

    Raises:
        DataError: Photos are missing or no photos; the message counts them and names one.
    """
    check_files(dataset)
    unreadable = []
    for path in dataset.image_paths:
        if isinstance(path, ShardPhoto):
            continue
        try:
            read_photo_size(path)
        except ImageError as error:
            unreadable.append(str(error))
    if unreadable:
        share = of_all(len(unreadable), len(dataset), "photo")
        raise DataError(
            f"cannot train on {dataset.name}: {share} {'is' if len(unreadable) == 1 else 'are'} unreadable; "
            f"{unreadable[0]}"
        )


def check_objects(dataset: Dataset, warn: Warn) -> None:
    """Makes sure that there is something to learn.

    Args:
        dataset: The photos of a training.
        warn: Function that is told about classes without objects.

    Raises:
        DataError: No photo shows an object that counts.
    """
    counts = count_objects(dataset)
    if not counts.any():
        raise DataError(
            f"cannot train on {dataset.name}: no object of its {counted(len(dataset), 'photo')} is of its "
            f"{counted(len(dataset.class_names), 'class', 'classes')}; check the annotations and the names of the "
            "classes"
        )
    absent = [dataset.class_names[class_id] for class_id in np.flatnonzero(counts == 0)]
    if absent:
        names = first_ones(absent, MAX_NAMES)
        share = of_all(len(absent), len(counts), "class", "classes")
        verbs = ("has", "is") if len(absent) == 1 else ("have", "are")
        warn(f"{share} {verbs[0]} no objects in {dataset.name} and {verbs[1]} not learnt ({names})")


def count_objects(dataset: Dataset) -> np.ndarray:
    """Returns the number of objects of each class that can be learnt, without ignored ones, [C] int64."""
    counts = np.zeros(len(dataset.class_names), np.int64)
    for annotation in dataset.ground_truths:
        truth = learnable(annotation)
        counts += np.bincount(truth.class_ids[~truth.ignored], minlength=len(counts))
    return counts


def choose_learnt(
    photos: PhotosOfTraining, config: DataConfig, left_out_classes: Sequence[str] = ()
) -> tuple[Dataset, Dataset]:
    """Returns the photos that are learnt and those that validate, as trainings choose them.

    Args:
        photos: The photos of the training.
        config: The choice of the photos.
        left_out_classes: Classes whose photos are not learnt.

    Raises:
        ConfigurationError: A class to be left out is unknown.
        DataError: No photo is left to train on.
    """
    training, validation = split_validation(photos.dataset, config.validation_images, photos.validation)
    if photos.extra is not None:
        training = training.joined(photos.extra)
    if left_out_classes:
        training = training.without_classes(left_out_classes)
    if not len(training):
        others = " and the others show classes that are left out" if left_out_classes else ""
        raise DataError(
            f"no photo is left to train on: {photos.dataset.name} has {len(photos.dataset)}, of which "
            f"{len(validation)} validate{others}"
        )
    return training, validation


def describe_photos(training: Dataset, validation: Dataset, is_kept_out: bool) -> str:
    """Returns a sentence that says what is learnt: photos, objects of each class, photos for validation.

    Args:
        training: The photos that are learnt.
        validation: The photos that validate.
        is_kept_out: Whether the photos that validate were kept out of the split that is learnt.
    """
    counts = count_objects(training)
    # classes with the most objects come first
    order = np.argsort(-counts, kind="stable")
    classes = first_ones((f"{training.class_names[class_id]} {counts[class_id]:,}" for class_id in order), MAX_NAMES)
    objects = f"{counted(int(counts.sum()), 'object')} of {counted(len(counts), 'class', 'classes')} ({classes})"
    learnt = f"{training.name}: {counted(len(training), 'photo')} to learn, which show {objects}"
    others = f"{counted(len(validation), 'other photo')} for validation"
    if is_kept_out:
        return f"{learnt}; {others}, kept out of the same split (data.validation_images)"
    return f"{learnt}; {others}, of {validation.name} (data.validation_split)"
