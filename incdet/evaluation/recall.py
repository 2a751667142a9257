"""Coverage of annotated objects by proposals, whatever their classes: coverage, average recall, mean best overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from incdet.evaluation.columns import SIZES
from incdet.ops.boxes import box_areas, box_iou
from incdet.ops.decimals import plain_number
from incdet.structures import GroundTruth, Proposals

COVERED = 0.5
"""The Jaccard index from which an object counts as covered, inclusive as in R-CNN's recall."""

PROPOSAL_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000)
"""Numbers of best proposals per image at which coverage is measured, besides all of them. P is their number."""

_EPSILON = 1e-9
"""Tolerance for overlaps that are float32 and thresholds that are float64."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """The best overlap of each object with any proposal.

    Attributes:
        overlaps: [K, P + 1] float32, Jaccard index with the best among the first `PROPOSAL_COUNTS[p]` proposals; the
            last column takes all proposals.
        areas: [K] float64, square pixels.
        class_ids: [K] int64.
        difficult: [K] bool.
        num_proposals: [I] int64, number of proposals of each image.
    """

    overlaps: np.ndarray
    areas: np.ndarray
    class_ids: np.ndarray
    difficult: np.ndarray
    num_proposals: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """[K] float32, Jaccard index with the best of all proposals."""
        return self.overlaps[:, -1]

    def subset(self, chosen: np.ndarray) -> "Coverage":
        """Returns the same images with only the objects that a mask [K] bool selects."""
        return Coverage(
            self.overlaps[chosen],
            self.areas[chosen],
            self.class_ids[chosen],
            self.difficult[chosen],
            self.num_proposals,
        )

    def by_kind(self) -> dict[str, "Coverage"]:
        """Returns small, medium and large objects (COCO's bins), and those that are not difficult, by name."""
        kinds = {}
        for name, low, high in SIZES:
            kinds[name] = self.subset((self.areas >= low) & (self.areas < high))
        kinds["not difficult"] = self.subset(~self.difficult)
        return kinds

    def mean_average_best_overlap(self) -> float:
        """Returns MABO: the mean over classes of the mean best overlap (Uijlings et al. 2013, section 5)."""
        classes = np.unique(self.class_ids)
        return _mean([self.best[self.class_ids == class_id].mean() for class_id in classes])

    def to_json(self) -> dict[str, Any]:
        """Returns the numbers of all objects, of each kind of object, and for each number of proposals."""
        most = self.num_proposals.max(initial=0)
        curve = []
        for column, count in enumerate(PROPOSAL_COUNTS):
            # beyond the longest list of proposals the curve is flat
            if count < most:
                curve.append({"proposals": count, **overlap_statistics(self.overlaps[:, column])})
        kinds = {}
        for name, part in self.by_kind().items():
            kinds[name] = {"num_objects": len(part.best), **overlap_statistics(part.best)}
        return {
            **overlap_statistics(self.best),
            "mean_average_best_overlap": plain_number(self.mean_average_best_overlap()),
            "proposals_per_image": plain_number(_mean(self.num_proposals)),
            "num_images": len(self.num_proposals),
            "num_objects": len(self.best),
            "by_kind": kinds,
            "by_number": curve,
        }


def coverage_at(overlaps: np.ndarray, threshold: float = COVERED) -> float:
    """Returns the share of objects whose best overlap reaches a threshold.

    Args:
        overlaps: [K], best overlap of each object.
        threshold: Smallest overlap that counts, default 0.5.

    >>> coverage_at(np.array([0.5, 0.49, 1.0, 0.0]))
    0.5
    """
    return _mean(overlaps >= threshold - _EPSILON)


def average_recall(overlaps: np.ndarray) -> float:
    """Returns the mean of `coverage_at` over all thresholds from 0.5 to 1, for best overlaps [K].

    The integral is exact: it equals twice the mean of the part of each overlap beyond 0.5.

    >>> average_recall(np.array([0.75, 0.2]))
    0.25
    """
    return 2 * _mean(np.clip(overlaps - COVERED, 0, None))


def measure_coverage(truths: Iterable[GroundTruth], proposals: Iterable[Proposals]) -> Coverage:
    """Compares every object with its image's proposals.

    All annotated boxes count, `difficult` ones too, as in R-CNN's recall. A caller who wants it otherwise leaves them
    out of the annotations.

    Args:
        truths: The objects of each image.
        proposals: The proposals of the same images, best first.
    """
    # an empty first entry gives shape and dtype where there are no images
    overlaps = [np.zeros((0, len(PROPOSAL_COUNTS) + 1), np.float32)]
    areas, class_ids, difficult = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
    num_proposals = []
    for truth, found in zip(truths, proposals, strict=True):
        overlaps.append(_best_overlaps(truth.boxes, found.boxes))
        areas.append(box_areas(truth.boxes.astype(np.float64)))
        class_ids.append(truth.class_ids)
        difficult.append(truth.ignored)
        num_proposals.append(len(found))
    return Coverage(
        np.concatenate(overlaps),
        np.concatenate(areas),
        np.concatenate(class_ids),
        np.concatenate(difficult),
        np.array(num_proposals, np.int64),
    )


def _best_overlaps(objects: np.ndarray, proposals: np.ndarray) -> np.ndarray:
    """Returns `Coverage.overlaps` [K, P + 1] of one image's objects [K, 4] and proposals [N, 4]."""
    columns = np.zeros((len(objects), len(PROPOSAL_COUNTS) + 1), np.float32)
    # an image without proposals leaves its objects with an overlap of 0
    if len(objects) and len(proposals):
        # column n of the running maximum is the best among the first n + 1 proposals: [K, N]
        best_so_far = np.maximum.accumulate(box_iou(objects, proposals), axis=1)
        last_columns = [min(count, len(proposals)) - 1 for count in (*PROPOSAL_COUNTS, len(proposals))]
        columns[:] = best_so_far[:, last_columns]
    return columns


def overlap_statistics(overlaps: np.ndarray) -> dict[str, float | None]:
    """Returns coverage, average recall and mean best overlap of best overlaps [K]; None without objects."""
    return {
        "coverage": plain_number(coverage_at(overlaps)),
        "average_recall": plain_number(average_recall(overlaps)),
        "mean_best_overlap": plain_number(_mean(overlaps)),
    }


def _mean(values: Sequence[float] | np.ndarray) -> float:
    """Returns the mean, or NaN without values and without NumPy's warning."""
    return float(np.mean(values)) if len(values) else float("nan")
