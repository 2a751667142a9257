"""Objects and detections of a whole data set as columns, one row each: the evaluator's own form.

Boxes are `boxes_inclusive` here, [N, 4] float64 xmin ymin xmax ymax, and the last pixel belongs to the box
(width = xmax - xmin + 1). This is the development kits' own arithmetic, so that no threshold is missed by a rounding.
A shift of all corners changes no overlap, so it does not matter whether pixels are counted from 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from incdet.detections import Detections
from incdet.structures import GroundTruth, require, require_array

SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, np.inf))
"""COCO's bins of object size: name, smallest area, first area beyond it, in square pixels."""

_TO_INCLUSIVE = np.array([0.0, 0.0, -1.0, -1.0])


@dataclass(frozen=True, eq=False)
class ObjectColumns:
    """Annotated objects.

    Attributes:
        images: [K] int64, the image's position in the data set, ascending.
        class_ids: [K] int64.
        boxes_inclusive: [K, 4] float64.
        ignored: [K] bool, VOC's `difficult` or COCO's `iscrowd`.
    """

    images: np.ndarray
    class_ids: np.ndarray
    boxes_inclusive: np.ndarray
    ignored: np.ndarray

    def __post_init__(self) -> None:
        _require_columns(self)
        require_array(self, "ignored", np.bool_, len(self.images))
        # the matching finds the objects of an image by binary search
        require(bool((np.diff(self.images) >= 0).all()), self, "images in ascending order", "another order")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: np.ndarray) -> ObjectColumns:
        """Returns the objects that a boolean mask or an integer array selects."""
        return ObjectColumns(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class DetectionColumns:
    """Detections in the order of their file, which decides between equal scores within an image.

    Attributes:
        images: [D] int64, the image's position in the data set.
        class_ids: [D] int64.
        scores: [D] float64, any finite numbers.
        boxes_inclusive: [D, 4] float64.
    """

    images: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray
    boxes_inclusive: np.ndarray

    def __post_init__(self) -> None:
        _require_columns(self)
        require_array(self, "scores", np.float64, len(self.images))
        require(bool(np.isfinite(self.scores).all()), self, "finite scores", "NaN or infinity")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: np.ndarray) -> DetectionColumns:
        """Returns the detections that a boolean mask or an integer array selects."""
        return DetectionColumns(*(getattr(self, field.name)[rows] for field in fields(self)))


def _require_columns(columns: ObjectColumns | DetectionColumns) -> None:
    require_array(columns, "images", np.int64, None)
    require_array(columns, "class_ids", np.int64, len(columns.images))
    require_array(columns, "boxes_inclusive", np.float64, len(columns.images), 4)
    require(bool(np.isfinite(columns.boxes_inclusive).all()), columns, "finite boxes", "NaN or infinity")


def object_columns(ground_truths: Sequence[GroundTruth]) -> ObjectColumns:
    """Returns the objects of all images, in their order."""
    # an image's position is repeated for each of its objects
    return ObjectColumns(
        images=np.repeat(np.arange(len(ground_truths)), [len(truth) for truth in ground_truths]).astype(np.int64),
        class_ids=_joined([truth.class_ids for truth in ground_truths], np.zeros(0, np.int64)),
        boxes_inclusive=inclusive_boxes(_joined([truth.boxes for truth in ground_truths], np.zeros((0, 4)))),
        ignored=_joined([truth.ignored for truth in ground_truths], np.zeros(0, np.bool_)),
    )


def detection_columns(found: Iterable[Detections], images: Iterable[int] | None = None) -> DetectionColumns:
    """Returns the detections of many images.

    Args:
        found: One `Detections` per image.
        images: Positions of the images in the data set; 0, 1, 2, ... by default.
    """
    found = list(found)
    positions = np.arange(len(found)) if images is None else np.array(list(images), np.int64)
    # float32 boxes and scores become float64 without a change of their values
    return DetectionColumns(
        images=np.repeat(positions, [len(entry) for entry in found]).astype(np.int64),
        class_ids=_joined([entry.class_ids for entry in found], np.zeros(0, np.int64)),
        scores=_joined([entry.scores for entry in found], np.zeros(0)).astype(np.float64),
        boxes_inclusive=inclusive_boxes(_joined([entry.boxes for entry in found], np.zeros((0, 4)))),
    )


def inclusive_boxes(boxes: np.ndarray) -> np.ndarray:
    """Converts half-open boxes [N, 4] xyxy into inclusive corners [N, 4] float64.

    >>> inclusive_boxes(np.array([[0, 0, 4, 3]], np.float32)).tolist()
    [[0.0, 0.0, 3.0, 2.0]]
    """
    return boxes.astype(np.float64) + _TO_INCLUSIVE


def half_open_boxes(boxes_inclusive: np.ndarray) -> np.ndarray:
    """Converts inclusive corners [N, 4] into half-open boxes [N, 4] float32, xyxy pixels."""
    return (boxes_inclusive - _TO_INCLUSIVE).astype(np.float32)


def inclusive_areas(boxes_inclusive: np.ndarray) -> np.ndarray:
    """Returns areas [N] in square pixels.

    >>> inclusive_areas(np.array([[0, 0, 3, 2]])).tolist()
    [12]
    """
    return (boxes_inclusive[:, 2] - boxes_inclusive[:, 0] + 1) * (boxes_inclusive[:, 3] - boxes_inclusive[:, 1] + 1)


def _joined(parts: list[np.ndarray], empty: np.ndarray) -> np.ndarray:
    """Returns the arrays as one. NumPy cannot join none, so the empty array gives shape and dtype."""
    return np.concatenate(parts) if parts else empty
