"""Which detection finds which object: overlapping pairs, vectorised, and their greedy assignment."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from incdet.evaluation.columns import inclusive_areas

_BLOCK = 1 << 20
"""Pairs that are looked at together; bounds the memory, whatever the number of detections."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Detections with objects they overlap enough, ordered by detection, then by falling overlap, then by object.

    Attributes:
        detections: [P] int64, row of the detection.
        objects: [P] int64, row of the object.
        overlaps: [P] float64, Jaccard index with inclusive pixels.
    """

    detections: np.ndarray
    objects: np.ndarray
    overlaps: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Pairs":
        return Pairs(self.detections[rows], self.objects[rows], self.overlaps[rows])

    def best(self) -> "Pairs":
        """Each detection's pair of the largest overlap; of equals, the object that comes first."""
        return self[np.unique(self.detections, return_index=True)[1]]


def find_pairs(
    detection_groups: np.ndarray,
    detection_boxes: np.ndarray,
    object_groups: np.ndarray,
    object_boxes: np.ndarray,
    thresholds: np.ndarray,
) -> Pairs:
    """All pairs within a group (an image) that share a pixel and reach the object's own threshold.

    Args:
        detection_groups: [D] int64.
        detection_boxes: [D, 4] float64, inclusive corners.
        object_groups: [K] int64, ascending.
        object_boxes: [K, 4] float64, inclusive corners.
        thresholds: [K] float64, smallest overlap per object.
    """
    found = []
    detection_areas, object_areas = inclusive_areas(detection_boxes), inclusive_areas(object_boxes)
    for detections, objects in _candidates(detection_groups, object_groups):
        one, other = detection_boxes[detections], object_boxes[objects]
        # the order of the operations is the development kit's, so that equal numbers round equally
        sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2]) + 1
        shared = sides[:, 0] * sides[:, 1]
        meet = (sides > 0).all(axis=1)
        overlaps = np.zeros(len(shared))
        union = detection_areas[detections] + object_areas[objects] - shared
        np.divide(shared, union, out=overlaps, where=meet)
        enough = meet & (overlaps >= thresholds[objects])
        found.append(Pairs(detections[enough], objects[enough], overlaps[enough]))
    if not found:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    columns = [
        np.concatenate([getattr(part, name) for part in found]) for name in ("detections", "objects", "overlaps")
    ]
    pairs = Pairs(*columns)
    return pairs[np.lexsort((pairs.objects, -pairs.overlaps, pairs.detections))]


def _candidates(detection_groups: np.ndarray, object_groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(detection rows, object rows) of all pairs within a group, about `_BLOCK` at a time."""
    starts = np.searchsorted(object_groups, detection_groups, "left")
    counts = np.searchsorted(object_groups, detection_groups, "right") - starts
    rows = np.flatnonzero(counts)
    starts, counts = starts[rows], counts[rows]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    borders = np.unique([*np.searchsorted(ends, np.arange(0, total, _BLOCK)), len(rows)])
    for first, last in pairwise(borders):
        repeats = counts[first:last]
        before = ends[first:last] - repeats
        block = np.arange(before[0], ends[last - 1])
        yield np.repeat(rows[first:last], repeats), block - np.repeat(before - starts[first:last], repeats)


def assign_objects(pairs: Pairs, num_detections: int, num_objects: int) -> np.ndarray:
    """The object of each detection [D] int64, -1 without one: in order, each takes its best one that is still free."""
    taken = bytearray(num_objects)
    matches = [-1] * num_detections
    for detection, candidate in zip(pairs.detections.tolist(), pairs.objects.tolist(), strict=True):
        if not taken[candidate] and matches[detection] < 0:
            matches[detection] = candidate
            taken[candidate] = 1
    return np.array(matches, np.int64)
