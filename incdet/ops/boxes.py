"""Pure functions on boxes [N, 4]: xyxy pixels, half-open, so width = x2 - x1."""

import numpy as np

MAX_BOX_DELTA = 1.0
"""By which a regression may move a box, in sides, or stretch it, as a logarithm: regions that would need more show
another object."""


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas [N] in square pixels.

    >>> box_areas(np.array([[0, 0, 4, 3]], np.float32)).tolist()
    [12.0]
    """
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Jaccard index of every pair: [N, 4] x [K, 4] -> [N, K]; 0 where both are empty.

    Half-open boxes made from inclusive integer corners (x2 = xmax + 1) give the development kits' inclusive IoU.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 1], [5, 5, 6, 6]])).tolist()
    [[0.5, 0.0]]
    """
    boxes, others = boxes.astype(np.float64), others.astype(np.float64)
    intersection = box_intersections(boxes, others)
    union = box_areas(boxes)[:, None] + box_areas(others)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Common area of every pair in square pixels: [N, 4] x [K, 4] -> [N, K].

    >>> box_intersections(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 9, 9], [5, 5, 6, 6]])).tolist()
    [[2, 0]]
    """
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(bottom_right - top_left, 0, None).prod(axis=2)


def clip_boxes(boxes: np.ndarray, width: int | np.ndarray, height: int | np.ndarray) -> np.ndarray:
    """Boxes [N, 4] cut at the borders of an image of this size, in pixels, or each of an image of its own, [N]."""
    limits = np.stack(np.broadcast_arrays(width, height, width, height), axis=-1).astype(boxes.dtype)
    return np.clip(boxes, 0, limits)


def flip_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes [N, 4] as they lie in the mirrored image of this width, in pixels.

    >>> flip_boxes(np.array([[0, 0, 2, 1]]), 10).tolist()
    [[8, 0, 10, 1]]
    """
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)


def boxes_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """xyxy [N, 4] -> COCO's x, y, width, height [N, 4]."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def boxes_from_xywh(boxes_xywh: np.ndarray) -> np.ndarray:
    """COCO's x, y, width, height [N, 4] -> xyxy [N, 4]."""
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def compute_box_deltas(boxes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """What turns boxes [N, 4] into the wanted ones [N, 4]; see `apply_box_deltas`. Boxes must have a surface.

    >>> compute_box_deltas(np.array([[0, 0, 2, 4]]), np.array([[1, 0, 3, 4]])).tolist()
    [[0.5, 0.0, 0.0, 0.0]]
    """
    sides, wanted_sides = boxes[:, 2:] - boxes[:, :2], wanted[:, 2:] - wanted[:, :2]
    shift = (wanted[:, :2] + wanted[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2 / sides
    return np.concatenate([shift, np.log(wanted_sides / sides)], axis=1).astype(np.float32)


def apply_box_deltas(
    boxes: np.ndarray, corrections: np.ndarray, width: int | np.ndarray, height: int | np.ndarray
) -> np.ndarray:
    """Boxes [N, 4] moved and stretched, then cut at the borders of an image; those that would vanish stay as they are.

    Args:
        boxes: the regions.
        corrections: [N, 4], as R-CNN's (appendix C): shift of the centre, in sides, and logarithm of the stretch, each
            along x and y; no more than `MAX_BOX_DELTA` of each is followed.
        width: of the image, in pixels, or [N] where each box has its own.
        height: likewise.
    """
    shift, stretch = np.split(np.clip(corrections, -MAX_BOX_DELTA, MAX_BOX_DELTA), 2, axis=1)
    sides = boxes[:, 2:] - boxes[:, :2]
    center = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift * sides
    half = sides / 2 * np.exp(stretch)
    corrected = clip_boxes(np.concatenate([center - half, center + half], axis=1), width, height).astype(np.float32)
    return np.where((corrected[:, 2:] > corrected[:, :2]).all(axis=1, keepdims=True), corrected, boxes)
