"""Non-maximum suppression: of boxes that overlap, the best one stays; and the vote of the others on its place."""

import numpy as np

from incdet.ops.boxes import box_iou
from incdet.runtime.compilation import kernel


def nms(boxes: np.ndarray, iou_threshold: float, limit: int | None = None) -> np.ndarray:
    """Greedy non-maximum suppression: a box stays if it overlaps no kept box before it by more than the threshold.

    The result is that of torchvision's `nms`. This one takes no second to import, and it stops when enough boxes are
    kept.

    Args:
        boxes: [N, 4] float32 or float64, xyxy, best first; the Jaccard index is computed in their type.
        iou_threshold: largest Jaccard index, in [0, 1], that a box may have with a kept one.
        limit: largest number of boxes that are kept; None is no limit.

    Returns:
        Rows of the kept boxes, [K] int64, ascending.

    >>> nms(np.array([[0, 0, 4, 4], [0, 0, 4, 3], [3, 3, 5, 5.0]]), 0.5).tolist()
    [0, 2]
    """
    return _nms(np.ascontiguousarray(boxes), iou_threshold, len(boxes) if limit is None else limit)


def nms_by_class(boxes: np.ndarray, class_ids: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Non-maximum suppression among the boxes of each class.

    Args:
        boxes: [N, 4] float32 or float64, xyxy, best first; the Jaccard index is computed in their type.
        class_ids: [N] int64.
        iou_threshold: IoU with a better box of the class above which a box is removed.

    Returns:
        Rows of the kept boxes, [K] int64, ascending.
    """
    survivors = [np.zeros(0, np.int64)]
    for class_id in np.unique(class_ids):
        rows = np.flatnonzero(class_ids == class_id)
        survivors.append(rows[nms(boxes[rows], iou_threshold)])
    return np.sort(np.concatenate(survivors))


@kernel
def _nms(boxes: np.ndarray, iou_threshold: float, limit: int) -> np.ndarray:
    """The result of `nms` for boxes that lie row by row in memory."""
    kept = np.empty(min(limit, len(boxes)), np.int64)
    num_kept = 0
    for row in range(len(boxes)):
        if num_kept == len(kept):
            break
        left, top, right, bottom = boxes[row]
        area, is_free = (right - left) * (bottom - top), True
        # only boxes that are kept suppress others
        for other in kept[:num_kept]:
            x1, y1, x2, y2 = boxes[other]
            width, height = min(right, x2) - max(left, x1), min(bottom, y2) - max(top, y1)
            # most pairs have nothing in common and cost no division
            if width > 0 and height > 0:
                common = width * height
                if common / ((x2 - x1) * (y2 - y1) + area - common) > iou_threshold:
                    is_free = False
                    break
        if is_free:
            kept[num_kept] = row
            num_kept += 1
    return kept[:num_kept]


def vote_on_boxes(
    boxes: np.ndarray, values: np.ndarray, class_ids: np.ndarray, kept: np.ndarray, voting_iou: float
) -> np.ndarray:
    """Moves each kept box to the mean of the boxes of its class around it, weighted by their probabilities.

    The source is the bounding box voting of Gidaris and Komodakis 2015, "Object detection via a multi-region and
    semantic segmentation-aware CNN model".

    Args:
        boxes: [N, 4] float32, boxes before NMS.
        values: [N] float32, their probabilities.
        class_ids: [N] int64.
        kept: [K] int64, rows that survived NMS.
        voting_iou: Smallest IoU with a kept box that has a vote.

    Returns:
        [K, 4] float32.
    """
    moved = boxes[kept]
    for class_id in np.unique(class_ids[kept]):
        is_class = class_ids[kept] == class_id
        voters = class_ids == class_id
        # [kept of the class, all of the class]
        overlaps = box_iou(moved[is_class], boxes[voters])
        weights = np.where(overlaps >= voting_iou, values[voters].astype(np.float64), 0.0)
        total = weights.sum(axis=1, keepdims=True)
        # a box without area overlaps nothing, not even itself, and stays in its place
        means = weights @ boxes[voters] / np.where(total > 0, total, 1)
        moved[is_class] = np.where(total > 0, means, moved[is_class])
    return moved
