"""Matching of detections with objects: overlapping pairs, computed in blocks, and their greedy assignment."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from incdet.evaluation.columns import DetectionColumns, ObjectColumns, inclusive_areas
from incdet.evaluation.rules import FALSE, IGNORED, TRUE, Rules, object_thresholds

_BLOCK = 1 << 20
"""Number of candidate pairs that are computed together. It bounds the memory for any number of detections."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of a detection and an object that overlap enough.

    They are ordered by detection, then by descending overlap, then by object.

    Attributes:
        detections: [P] int64, row of each pair's detection.
        objects: [P] int64, row of each pair's object.
        overlaps: [P] float64, Jaccard index on inclusive pixels.
    """

    detections: np.ndarray
    objects: np.ndarray
    overlaps: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Pairs":
        """Returns the pairs that a boolean mask or an integer array selects."""
        return Pairs(self.detections[rows], self.objects[rows], self.overlaps[rows])

    def best(self) -> "Pairs":
        """Returns each detection's pair of the largest overlap; of equal ones, that of the first object."""
        # pairs are ordered, so the first pair of each detection is its best
        _, first_rows = np.unique(self.detections, return_index=True)
        return self[first_rows]


def match_class(
    objects: ObjectColumns, detections: DetectionColumns, rules: Rules, iou_threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Decides for the detections of one class which of them find an object.

    Args:
        objects: The K objects of the class in all images.
        detections: The D detections of the class in all images.
        rules: The rules of the assignment.
        iou_threshold: Smallest IoU that finds an object; the largest one under `ilsvrc`.

    Returns:
        Verdicts [D] int8 (TRUE, FALSE or IGNORED), and matches [D] int64, the row of the object that a TRUE detection
        found, -1 for the others.
    """
    verdicts = np.full(len(detections), FALSE, np.int8)
    matches = np.full(len(detections), -1, np.int64)
    # images do not influence each other: within an image the best score chooses first, equal scores in file order
    order = np.lexsort((-detections.scores, detections.images))
    images, boxes = detections.images[order], detections.boxes_inclusive[order]
    thresholds = object_thresholds(objects.boxes_inclusive, rules, iou_threshold)
    pairs = find_pairs(images, boxes, objects.images, objects.boxes_inclusive, thresholds)
    if rules != "ilsvrc":
        # VOC compares a detection with the object that it overlaps most, even if another detection has taken it,
        # whereas ILSVRC's kit goes on to the best object that is still free
        pairs = pairs.best()
        on_ignored = objects.ignored[pairs.objects]
        verdicts[order[pairs.detections[on_ignored]]] = IGNORED
        pairs = pairs[~on_ignored]
    matches[order] = assign_objects(pairs, len(detections), len(objects))
    verdicts[matches >= 0] = TRUE
    return verdicts, matches


def find_pairs(
    detection_groups: np.ndarray,
    detection_boxes: np.ndarray,
    object_groups: np.ndarray,
    object_boxes: np.ndarray,
    thresholds: np.ndarray,
) -> Pairs:
    """Returns all pairs within a group (an image) that share a pixel and reach the object's own threshold.

    Args:
        detection_groups: [D] int64, group of each detection.
        detection_boxes: [D, 4] float64, inclusive corners.
        object_groups: [K] int64, group of each object, ascending.
        object_boxes: [K, 4] float64, inclusive corners.
        thresholds: [K] float64, smallest IoU per object.
    """
    blocks = []
    detection_areas, object_areas = inclusive_areas(detection_boxes), inclusive_areas(object_boxes)
    for detections, objects in _candidates(detection_groups, object_groups):
        boxes_of_detections, boxes_of_objects = detection_boxes[detections], object_boxes[objects]
        # the operations follow the development kit's order, so that equal numbers round equally
        low = np.maximum(boxes_of_detections[:, :2], boxes_of_objects[:, :2])
        high = np.minimum(boxes_of_detections[:, 2:], boxes_of_objects[:, 2:])
        sides = high - low + 1
        intersection = sides[:, 0] * sides[:, 1]
        # two negative sides have a positive product, so the sides themselves decide
        meet = (sides > 0).all(axis=1)
        overlaps = np.zeros(len(intersection))
        union = detection_areas[detections] + object_areas[objects] - intersection
        np.divide(intersection, union, out=overlaps, where=meet)
        enough = meet & (overlaps >= thresholds[objects])
        blocks.append(Pairs(detections[enough], objects[enough], overlaps[enough]))
    if not blocks:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    pairs = Pairs(
        np.concatenate([block.detections for block in blocks]),
        np.concatenate([block.objects for block in blocks]),
        np.concatenate([block.overlaps for block in blocks]),
    )
    return pairs[np.lexsort((pairs.objects, -pairs.overlaps, pairs.detections))]


def _candidates(detection_groups: np.ndarray, object_groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields detection rows and object rows of all pairs within a group, about `_BLOCK` pairs at a time."""
    # the objects of a group lie in consecutive rows, because groups ascend
    starts = np.searchsorted(object_groups, detection_groups, "left")
    counts = np.searchsorted(object_groups, detection_groups, "right") - starts
    with_objects = np.flatnonzero(counts)
    starts, counts = starts[with_objects], counts[with_objects]
    # number all pairs: those of detection i are numbers ends[i] - counts[i] to ends[i]
    ends = np.cumsum(counts)
    num_pairs = int(ends[-1]) if len(ends) else 0
    borders = np.unique([*np.searchsorted(ends, np.arange(0, num_pairs, _BLOCK)), len(with_objects)])
    for first, last in pairwise(borders):
        repeats = counts[first:last]
        first_pairs = ends[first:last] - repeats
        pair_numbers = np.arange(first_pairs[0], ends[last - 1])
        # a pair's place within its detection, added to the detection's first object, is the object's row
        objects = pair_numbers - np.repeat(first_pairs - starts[first:last], repeats)
        yield np.repeat(with_objects[first:last], repeats), objects


def assign_objects(pairs: Pairs, num_detections: int, num_objects: int) -> np.ndarray:
    """Returns the object of each detection, [D] int64, -1 without one.

    The detections choose in order, and each takes its best object that is still free.

    Args:
        pairs: Pairs ordered by detection, each detection's best object first.
        num_detections: D.
        num_objects: Number of objects.
    """
    # a plain loop over lists is faster than numpy here, because every step depends on the one before
    taken = bytearray(num_objects)
    matches = [-1] * num_detections
    for detection, candidate in zip(pairs.detections.tolist(), pairs.objects.tolist(), strict=True):
        if not taken[candidate] and matches[detection] < 0:
            matches[detection] = candidate
            taken[candidate] = 1
    return np.array(matches, np.int64)
