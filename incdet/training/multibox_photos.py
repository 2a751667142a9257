"""The photos that a MultiBox learns from and those that validate it, whatever its feature maps come from."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from incdet.config.class_choice import find_classes
from incdet.data.dataset import Dataset, Warn
from incdet.errors import ImageError
from incdet.evaluation.recall import average_recall, coverage_at, measure_coverage
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.data_checks import choose_learnt
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.samples.annotated_photos import read_annotated
from incdet.training.training_data import PhotosOfTraining


class MultiBoxPhotos(NamedTuple):
    """The photos of a training of MultiBox.

    Attributes:
        training: the photos that are learnt.
        validation: the photos that are kept out of training.
    """

    training: Dataset
    validation: Dataset


def choose_photos(dataset: Dataset, config: MultiBoxTrainingConfig, own_validation: Dataset | None) -> MultiBoxPhotos:
    """Splits a data set.

    Args:
        dataset: photos in which every object is annotated.
        config: the number of photos for validation, and the classes that are left out.
        own_validation: photos of another split for validation; None takes some of the data set.

    Raises:
        ConfigurationError: a class to be left out is unknown.
        DataError: no photo is left to train on.
    """
    # validation photos may show the classes that are left out: their coverage is what is wanted
    photos = PhotosOfTraining(dataset, validation=own_validation)
    return MultiBoxPhotos(*choose_learnt(photos, config.data, config.left_out_classes))


def read_photos(dataset: Dataset, indices: Sequence[int], warn: Warn) -> tuple[list[Image], list[GroundTruth]]:
    """Reads those of some photos that can be read, and their annotations in pixels of the files.

    Args:
        dataset: the photos.
        indices: indices of the photos.
        warn: takes a sentence about every photo that cannot be read.
    """
    images, truths = [], []
    for index in indices:
        try:
            image, truth = read_annotated(dataset, index)
        except ImageError as error:
            warn(f"{error}; it is left out of the validation")
            continue
        images.append(image)
        truths.append(truth)
    return images, truths


def coverage_numbers(
    truths: Sequence[GroundTruth], proposals: Sequence[Proposals], validation: Dataset, left_out_classes: Sequence[str]
) -> dict[str, float]:
    """Computes the coverage at IoU 0.5 and the average recall of proposals.

    Args:
        truths: the objects of each photo.
        proposals: the proposals of the same photos.
        validation: the data set that knows the classes.
        left_out_classes: classes that training left out, whose coverage alone is measured, too.

    Returns:
        Named numbers for the log; none that is no number, as the coverage of photos without objects.
    """
    if not truths:
        return {}
    coverage = measure_coverage(truths, proposals)
    numbers = {
        "validation_coverage": coverage_at(coverage.best),
        "validation_average_recall": average_recall(coverage.best),
    }
    if left_out_classes:
        left_out = find_classes(left_out_classes, validation.class_names, validation.name)
        # the trunk may have learnt to name these classes, but MultiBox has never seen their boxes
        unseen = coverage.subset(np.isin(coverage.class_ids, left_out))
        if len(unseen.best):
            numbers["validation_coverage_left_out"] = coverage_at(unseen.best)
    return {name: round(value, 6) for name, value in numbers.items() if math.isfinite(value)}
