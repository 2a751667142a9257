"""How well proposals cover the annotated objects, whatever their classes: coverage, average recall, best overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from incdet.evaluation.average_precision import plain_number
from incdet.evaluation.error_analysis import SIZES
from incdet.ops.boxes import box_areas, box_iou
from incdet.structures import GroundTruth, Proposals

COVERED = 0.5
"""The Jaccard index from which an object counts as covered (R-CNN: inclusive)."""

NUMBERS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000)
"""Of an image's best proposals at which coverage is measured, besides all of them."""

_EPSILON = 1e-9


@dataclass(frozen=True, eq=False)
class Coverage:
    """The best overlap of each object with any proposal.

    Attributes:
        overlaps: [K, len(NUMBERS) + 1] float32, Jaccard index with the best of the first so many proposals; in the
            last column with the best of all.
        areas: [K] float64, square pixels.
        class_ids: [K] int64.
        difficult: [K] bool.
        num_proposals: [I] int64, of each image.
    """

    overlaps: np.ndarray
    areas: np.ndarray
    class_ids: np.ndarray
    difficult: np.ndarray
    num_proposals: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """[K] Jaccard index with the best of all proposals."""
        return self.overlaps[:, -1]

    def subset(self, chosen: np.ndarray) -> "Coverage":
        """The same images with these objects only, given by a mask [K]."""
        return Coverage(
            self.overlaps[chosen],
            self.areas[chosen],
            self.class_ids[chosen],
            self.difficult[chosen],
            self.num_proposals,
        )

    def by_kind(self) -> dict[str, "Coverage"]:
        """Small, medium and large objects (COCO's limits), and those that are not difficult."""
        sizes = {name: self.subset((self.areas >= low) & (self.areas < high)) for name, low, high in SIZES}
        return sizes | {"not difficult": self.subset(~self.difficult)}

    def mean_average_best_overlap(self) -> float:
        """MABO: the mean over classes of the mean best overlap (Uijlings et al. 2013, section 5)."""
        classes = np.unique(self.class_ids)
        return _mean([self.best[self.class_ids == class_id].mean() for class_id in classes])

    def to_json(self) -> dict[str, Any]:
        """The numbers, by kind of object and by number of proposals, too."""
        curve = [
            {"proposals": number, **numbers(self.overlaps[:, column])}
            for column, number in enumerate(NUMBERS)
            if number < self.num_proposals.max(initial=0)
        ]
        kinds = {name: {"num_objects": len(part.best), **numbers(part.best)} for name, part in self.by_kind().items()}
        return {
            **numbers(self.best),
            "mean_average_best_overlap": plain_number(self.mean_average_best_overlap()),
            "proposals_per_image": plain_number(_mean(self.num_proposals)),
            "num_images": len(self.num_proposals),
            "num_objects": len(self.best),
            "by_kind": kinds,
            "by_number": curve,
        }


def coverage_at(overlaps: np.ndarray, threshold: float = COVERED) -> float:
    """The share of objects whose best overlap [K] is at least this.

    >>> coverage_at(np.array([0.5, 0.49, 1.0, 0.0]))
    0.5
    """
    return _mean(overlaps >= threshold - _EPSILON)


def average_recall(overlaps: np.ndarray) -> float:
    """The mean of `coverage_at` over all thresholds from 0.5 to 1, exactly: twice the mean overlap beyond 0.5.

    >>> average_recall(np.array([0.75, 0.2]))
    0.25
    """
    return 2 * _mean(np.clip(overlaps - COVERED, 0, None))


def measure_coverage(truths: Iterable[GroundTruth], proposals: Iterable[Proposals]) -> Coverage:
    """Compares every object with its image's proposals.

    All annotated boxes count, `difficult` ones too, as in R-CNN's recall; leave out of the annotations what should not.

    Args:
        truths: one per image.
        proposals: of the same images, best first.
    """
    pairs = [
        (truth, _best_overlaps(truth.boxes, found.boxes), len(found))
        for truth, found in zip(truths, proposals, strict=True)
    ]
    overlaps = [found for _, found, _ in pairs]
    return Coverage(
        np.concatenate([np.zeros((0, len(NUMBERS) + 1), np.float32), *overlaps]),
        np.concatenate([np.zeros(0), *(box_areas(truth.boxes.astype(np.float64)) for truth, _, _ in pairs)]),
        np.concatenate([np.zeros(0, np.int64), *(truth.class_ids for truth, _, _ in pairs)]),
        np.concatenate([np.zeros(0, np.bool_), *(truth.ignored for truth, _, _ in pairs)]),
        np.array([number for _, _, number in pairs], np.int64),
    )


def _best_overlaps(objects: np.ndarray, proposals: np.ndarray) -> np.ndarray:
    """[K, len(NUMBERS) + 1] float32: each object's best overlap with the first so many proposals, and with all."""
    columns = np.zeros((len(objects), len(NUMBERS) + 1), np.float32)
    if len(objects) and len(proposals):
        best_so_far = np.maximum.accumulate(box_iou(objects, proposals), axis=1)
        lasts = [min(number, len(proposals)) - 1 for number in (*NUMBERS, len(proposals))]
        columns[:] = best_so_far[:, lasts]
    return columns


def numbers(overlaps: np.ndarray) -> dict[str, float | None]:
    """Coverage, average recall and mean best overlap of objects with these best overlaps [K]; None without objects."""
    values = coverage_at(overlaps), average_recall(overlaps), _mean(overlaps)
    names = "coverage", "average_recall", "mean_best_overlap"
    return {name: plain_number(value) for name, value in zip(names, values, strict=True)}


def _mean(values: Sequence[float] | np.ndarray) -> float:
    """NaN of nothing, without NumPy's warning."""
    return float(np.mean(values)) if len(values) else float("nan")
