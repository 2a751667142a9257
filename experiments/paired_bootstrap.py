"""Standard errors of differences between evaluations of the same photos, by a paired bootstrap over the photos."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from incdet.data.dataset import Dataset
from incdet.detections import Detections
from incdet.evaluation.average_precision import Evaluation, evaluate_detections
from incdet.evaluation.comparison import weighted_average_precision
from incdet.evaluation.rules import IGNORED, TRUE
from incdet.evaluation.stored_evaluation import RankedClass

NUM_SAMPLES = 1000
"""Number of resampled sets of photos."""

COLUMNS = {"mAP": "{:.4f}", "difference": "{:+.4f}", "standard error": "{:.4f}"}
COLUMNS |= {"pooled AP": "{:.4f}", "pooled difference": "{:+.4f}", "pooled standard error": "{:.4f}"}
"""Names of the numbers of `compared_numbers` -> how they are written."""

SETS_AT_A_TIME = 100
"""Number of resampled sets that are computed together, which bounds the memory."""


class Judged(NamedTuple):
    """The numbers of one evaluation, on the photos as they are and on S resampled sets of photos.

    Attributes:
        mean_average_precision: mAP.
        pooled_average_precision: AP of the detections of all classes in one ranked list.
        resampled_means: [S] float64, mAP on every set; NaN where a set has no object.
        resampled_pooled: [S] float64, pooled AP on every set.
    """

    mean_average_precision: float
    pooled_average_precision: float
    resampled_means: np.ndarray
    resampled_pooled: np.ndarray


class Difference(NamedTuple):
    """The difference between two evaluations of the same photos.

    Attributes:
        value: difference on the photos as they are.
        standard_error: standard deviation of the difference over resampled sets of photos.
    """

    value: float
    standard_error: float


def judge(detections: Sequence[Detections], data: Dataset, num_samples: int = NUM_SAMPLES) -> Judged:
    """Evaluates the detections in a data set's photos under VOC's rules.

    Args:
        detections: the detections of each photo, in the size that its annotation states.
        data: the photos.
        num_samples: number of resampled sets of photos.
    """
    return resample(evaluate_detections(data.class_names, data.ground_truths, detections), num_samples)


def compared_numbers(variant: Judged, base: Judged) -> list[float]:
    """Returns mAP and pooled AP of a variant, each with its difference from the base and the standard error of that.

    The six numbers have the order of `COLUMNS`.
    """
    mean, base_mean = variant.mean_average_precision, base.mean_average_precision
    pooled, base_pooled = variant.pooled_average_precision, base.pooled_average_precision
    of_mean = paired_difference(mean, base_mean, variant.resampled_means, base.resampled_means)
    of_pooled = paired_difference(pooled, base_pooled, variant.resampled_pooled, base.resampled_pooled)
    return [mean, *of_mean, pooled, *of_pooled]


def resample(evaluation: Evaluation, num_samples: int = NUM_SAMPLES, seed: int = 0) -> Judged:
    """Computes mAP and pooled AP on the photos as they are, and on sets of photos that are drawn with replacement.

    Equal numbers of photos and equal seeds give the same sets, those of `compare_evaluations`, so that the numbers of
    two evaluations are paired.

    Args:
        evaluation: an evaluation under VOC's rules.
        num_samples: number of sets, S.
        seed: seed of the drawing.
    """
    num_images = evaluation.num_images
    # drawing N photos with replacement gives multinomial counts: weights [S, N], each row sums to N
    shares = np.full(num_images, 1 / num_images)
    weights = np.random.default_rng(seed).multinomial(num_images, shares, num_samples)
    classes = [_ranked(evaluation, class_id) for class_id in range(len(evaluation.class_names))]
    pooled = _ranked(evaluation, None)
    means, pooled_values = [], []
    for start in range(0, num_samples, SETS_AT_A_TIME):
        some = weights[start : start + SETS_AT_A_TIME]
        by_class = np.stack([weighted_average_precision(entry, some, evaluation.rules) for entry in classes])
        # a class without objects in a set is left out of that set's mean
        has_objects = ~np.isnan(by_class)
        num_classes = has_objects.sum(axis=0)
        sums = np.where(has_objects, by_class, 0).sum(axis=0)
        means.append(np.where(num_classes > 0, sums / np.maximum(num_classes, 1), np.nan))
        pooled_values.append(weighted_average_precision(pooled, some, evaluation.rules))
    return Judged(
        evaluation.mean_average_precision,
        evaluation.pooled_average_precision,
        np.concatenate(means),
        np.concatenate(pooled_values),
    )


def paired_difference(value: float, base_value: float, resampled: np.ndarray, base_resampled: np.ndarray) -> Difference:
    """Computes how much a number differs from that of a base, and how sure the difference is.

    Args:
        value: the number on the photos as they are.
        base_value: the same number of the base.
        resampled: [S] float64, the number on every resampled set.
        base_resampled: [S] float64, that of the base on the same sets.
    """
    differences = resampled - base_resampled
    differences = differences[~np.isnan(differences)]
    # the standard deviation of one value is not defined
    error = float(differences.std(ddof=1)) if len(differences) > 1 else float("nan")
    return Difference(value - base_value, error)


def _ranked(evaluation: Evaluation, class_id: int | None) -> RankedClass:
    """The ranked detections and the required objects of one class or, without a class, of all classes together."""
    detections, objects = evaluation.detections, evaluation.objects
    counted, required = evaluation.verdicts != IGNORED, ~objects.ignored
    if class_id is not None:
        counted &= detections.class_ids == class_id
        required = required & (objects.class_ids == class_id)
    rows = np.flatnonzero(counted)
    # equal scores are ordered by image, then by the order of the file: both sorts are stable
    rows = rows[np.argsort(detections.images[rows], kind="stable")]
    rows = rows[np.argsort(-detections.scores[rows], kind="stable")]
    return RankedClass(detections.images[rows], evaluation.verdicts[rows] == TRUE, objects.images[required])
