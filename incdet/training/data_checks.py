"""Checks of the photos of a training, before anything that takes long is computed from them."""

import numpy as np

from incdet.data.dataset import Dataset, Warn
from incdet.errors import DataError, ImageError
from incdet.images import read_size
from incdet.training.training_data import DataConfig, split_validation

MAX_NAMES = 5
"""Largest number of names in one sentence."""


def check_photos(dataset: Dataset) -> None:
    """Makes sure that every photo is there and begins as a photo does.

    Raises:
        DataError: Photos are missing or no photos; the message counts them and names some.
    """
    missing = [path for path in dataset.image_paths if not path.is_file()]
    if missing:
        raise DataError(
            f"cannot train on {dataset.name}: {len(missing):,} of {len(dataset):,} photos are missing, such as "
            f"{missing[0]}; put them there, or correct the annotations"
        )
    unreadable = []
    for path in dataset.image_paths:
        try:
            read_size(path)
        except ImageError as error:
            unreadable.append(str(error))
    if unreadable:
        raise DataError(f"cannot train on {dataset.name}: {len(unreadable):,} photos are unreadable; {unreadable[0]}")


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
            f"cannot train on {dataset.name}: none of its {len(dataset):,} photos shows an object of the "
            f"{len(dataset.class_names)} classes; check the annotations and the names of the classes"
        )
    absent = [dataset.class_names[class_id] for class_id in np.flatnonzero(counts == 0)]
    if absent:
        names = ", ".join(absent[:MAX_NAMES]) + (", ..." if len(absent) > MAX_NAMES else "")
        warn(f"{len(absent)} of {len(counts)} classes have no objects in {dataset.name} and are not learnt ({names})")


def count_objects(dataset: Dataset) -> np.ndarray:
    """Returns the number of objects of each class, without ignored ones, [C] int64."""
    counts = np.zeros(len(dataset.class_names), np.int64)
    for truth in dataset.ground_truths:
        counts += np.bincount(truth.class_ids[~truth.ignored], minlength=len(counts))
    return counts


def describe_photos(dataset: Dataset, config: DataConfig) -> str:
    """Returns a sentence that says what is learnt: photos, objects of each class, photos for validation.

    Args:
        dataset: The photos of the split.
        config: The choice of the photos.

    Raises:
        DataError: No photo is left to train on.
    """
    training, validation = split_validation(dataset, config.validation_images)
    counts = count_objects(dataset)
    order = np.argsort(-counts, kind="stable")
    names = [f"{dataset.class_names[class_id]} {counts[class_id]:,}" for class_id in order[:MAX_NAMES]]
    classes = ", ".join(names) + (", ..." if len(order) > MAX_NAMES else "")
    return (
        f"{dataset.name}: {len(training):,} photos to learn, {len(validation):,} for validation "
        f"(data.validation_images); {counts.sum():,} objects of {len(counts)} classes: {classes}"
    )
