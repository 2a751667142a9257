"""Pure functions on boxes [N, 4]: x1, y1, x2, y2 in pixels, half-open, so that the width is x2 - x1."""

import numpy as np

MAX_BOX_DELTA = 1.0
"""Largest shift of a box, in its sides, and largest logarithm of its stretch, that are applied: a region that would
need more shows another object."""


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas [N] of boxes [N, 4], in square pixels.

    >>> box_areas(np.array([[0, 0, 4, 3]], np.float32)).tolist()
    [12.0]
    """
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Jaccard index (intersection over union) of every pair of boxes.

    Half-open boxes made from inclusive integer corners (x2 = xmax + 1) give the development kits' inclusive IoU.

    Args:
        boxes: [N, 4] of any type; the result is computed in float64.
        others: [K, 4] of any type.

    Returns:
        [N, K] float64 in [0, 1]; 0 where both boxes are empty.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 1], [5, 5, 6, 6]])).tolist()
    [[0.5, 0.0]]
    """
    boxes, others = boxes.astype(np.float64), others.astype(np.float64)
    intersection = box_intersections(boxes, others)
    union = box_areas(boxes)[:, None] + box_areas(others)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Common area of every pair of boxes [N, 4] and [K, 4], in square pixels: [N, K].

    >>> box_intersections(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 9, 9], [5, 5, 6, 6]])).tolist()
    [[2, 0]]
    """
    # corners of the common rectangles [N, K, 2]; a negative side means that there is none
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(bottom_right - top_left, 0, None).prod(axis=2)


def clip_boxes(boxes: np.ndarray, width: int | np.ndarray, height: int | np.ndarray) -> np.ndarray:
    """Cuts boxes at the borders of their image.

    Args:
        boxes: [N, 4] of any type.
        width: width of the image in pixels, or [N] where every box has an image of its own.
        height: height of the image in pixels, or [N].

    Returns:
        [N, 4] in the type of the boxes.

    >>> clip_boxes(np.array([[-3, 2, 5, 9]]), 4, 8).tolist()
    [[0, 2, 4, 8]]
    """
    limits = np.stack(np.broadcast_arrays(width, height, width, height), axis=-1).astype(boxes.dtype)
    return np.clip(boxes, 0, limits)


def flip_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes [N, 4] as they lie in the mirrored image of this width in pixels.

    >>> flip_boxes(np.array([[0, 0, 2, 1]]), 10).tolist()
    [[8, 0, 10, 1]]
    """
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)


def boxes_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] as x, y, width and height [N, 4], the convention of COCO.

    >>> boxes_to_xywh(np.array([[1, 2, 4, 8]])).tolist()
    [[1, 2, 3, 6]]
    """
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def boxes_from_xywh(boxes_xywh: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] from x, y, width and height [N, 4], the convention of COCO.

    >>> boxes_from_xywh(np.array([[1, 2, 3, 6]])).tolist()
    [[1, 2, 4, 8]]
    """
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def compute_box_deltas(boxes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The box deltas with which `apply_box_deltas` turns boxes into other ones.

    Args:
        boxes: [N, 4], each with a surface.
        targets: [N, 4], each with a surface.

    Returns:
        [N, 4] float32, as R-CNN has them (appendix C): the shift of the centre along x and y in sides of the box, and
        the logarithms of the stretch of width and height.

    >>> compute_box_deltas(np.array([[0, 0, 2, 4]]), np.array([[1, 0, 3, 4]])).tolist()
    [[0.5, 0.0, 0.0, 0.0]]
    """
    sides, target_sides = boxes[:, 2:] - boxes[:, :2], targets[:, 2:] - targets[:, :2]
    # (target centre - centre) / side, where a centre is half the sum of two corners
    shift = (targets[:, :2] + targets[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2 / sides
    return np.concatenate([shift, np.log(target_sides / sides)], axis=1).astype(np.float32)


def apply_box_deltas(
    boxes: np.ndarray, box_deltas: np.ndarray, width: int | np.ndarray, height: int | np.ndarray
) -> np.ndarray:
    """Moves and stretches boxes, and cuts them at the borders of their image; boxes that would vanish stay as they are.

    Args:
        boxes: [N, 4], xyxy pixels of the image.
        box_deltas: [N, 4], as `compute_box_deltas` returns them; values beyond `MAX_BOX_DELTA` are cut.
        width: width of the image in pixels, or [N] where every box has an image of its own.
        height: height of the image in pixels, or [N].

    Returns:
        [N, 4], xyxy pixels of the image.
    """
    shift, stretch = np.split(np.clip(box_deltas, -MAX_BOX_DELTA, MAX_BOX_DELTA), 2, axis=1)
    sides = boxes[:, 2:] - boxes[:, :2]
    # R-CNN's equations 1 to 4: the centre moves by shift * side, the side becomes side * exp(stretch)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift * sides
    half = sides / 2 * np.exp(stretch)
    moved = clip_boxes(np.concatenate([center - half, center + half], axis=1), width, height).astype(np.float32)
    has_surface = (moved[:, 2:] > moved[:, :2]).all(axis=1, keepdims=True)
    return np.where(has_surface, moved, boxes)
