"""Non-maximum suppression: of boxes that overlap, the best ones."""

import numpy as np

from incdet.runtime.compilation import kernel


def nms(boxes: np.ndarray, iou_threshold: float, limit: int | None = None) -> np.ndarray:
    """Rows of the boxes that overlap no kept box before them by more than the threshold, ascending.

    What torchvision's `nms` keeps, without its import, which takes over a second, and without looking at what comes
    after the last box that is wanted.

    Args:
        boxes: [N, 4] float32 or float64, xyxy, best first; the Jaccard index is computed in their type.
        iou_threshold: in [0, 1].
        limit: so many boxes are kept at most; None is no limit.

    >>> nms(np.array([[0, 0, 4, 4], [0, 0, 4, 3], [3, 3, 5, 5.0]]), 0.5).tolist()
    [0, 2]
    """
    return _nms(np.ascontiguousarray(boxes), iou_threshold, len(boxes) if limit is None else limit)


@kernel
def _nms(boxes: np.ndarray, iou_threshold: float, limit: int) -> np.ndarray:
    kept, number = np.empty(min(limit, len(boxes)), np.int64), 0
    for row in range(len(boxes)):
        if number == len(kept):
            break
        left, top, right, bottom = boxes[row]
        area, free = (right - left) * (bottom - top), True
        for other in kept[:number]:
            x1, y1, x2, y2 = boxes[other]
            width, height = min(right, x2) - max(left, x1), min(bottom, y2) - max(top, y1)
            if width > 0 and height > 0:
                common = width * height
                if common / ((x2 - x1) * (y2 - y1) + area - common) > iou_threshold:
                    free = False
                    break
        if free:
            kept[number] = row
            number += 1
    return kept[:number]
