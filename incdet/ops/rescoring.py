"""What the other detections of a photo say against a detection: it looks like a part of one, or small beside them.

**Parts.** A network that has learnt from few photos finds a head, a pair of legs or a hull nearly as probable as the
whole animal, person or boat. The Jaccard index (IoU) of a part with the whole is small, so that non-maximum suppression
keeps both. What gives a part away is the share of its own area that the whole covers. The detectors of Felzenszwalb et
al. 2010, "Object detection with discriminatively trained part-based models", suppress by this share; here it lowers
scores.

**Prominence.** Hundreds of small regions compete in a photo, and the best of many is too often a mistake. Beside a
large object that is as probable, a small one deserves less trust than its probability says.
"""

import numpy as np

PART_OVERLAP = 0.7
"""Share of a box's area, in [0, 1), up to which it may lie inside a larger box without being taken for a part of it."""


def part_shares(boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Tells how much each box looks like a part of a larger box of its class.

    That is 1 for a box that lies wholly inside a larger one with a score as high. It falls to 0 as the share of its
    area that lies inside falls from 1 to `PART_OVERLAP`. A larger box with a lower score than the box itself counts
    less, in proportion to that score. Of several larger boxes the one that makes the most of it counts.

    Args:
        boxes: [N, 4] float32, xyxy.
        scores: [N] float32 in [0, 1].
        class_ids: [N] int64.

    Returns:
        [N] float64 in [0, 1].

    >>> boxes = np.array([[0, 0, 10, 10], [2, 2, 6, 6], [8, 8, 12, 12]], np.float32)
    >>> part_shares(boxes, np.array([0.4, 0.8, 0.4], np.float32), np.zeros(3, np.int64)).tolist()
    [0.0, 0.5, 0.0]
    """
    shares = np.zeros(len(boxes))
    for class_id in np.unique(class_ids):
        rows = np.flatnonzero(class_ids == class_id)
        shares[rows] = _shares_in_class(boxes[rows].astype(np.float64), scores[rows].astype(np.float64))
    return shares


def _shares_in_class(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The result of `part_shares` for boxes of one class; boxes and scores are float64."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # rows are parts, columns what they may be parts of: [N, N]
    sides = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    common = np.maximum(sides, 0).prod(axis=2)
    # a box without area is no part of anything, and a score of 0 cannot be lowered
    inside = np.divide(common, areas[:, None], out=np.zeros_like(common), where=areas[:, None] > 0)
    support = np.divide(scores[None], scores[:, None], out=np.zeros_like(common), where=scores[:, None] > 0)
    beyond = np.clip((inside - PART_OVERLAP) / (1 - PART_OVERLAP), 0, 1)
    is_larger = areas[None] > areas[:, None]
    return np.where(is_larger, beyond * np.minimum(support, 1), 0).max(axis=1, initial=0)


def prominences(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Tells how large each box is beside the others.

    That is the quotient of its area and that of the largest box with a score as high. A larger box with a lower score
    counts, too, with its area reduced in proportion to that score, so that improbable boxes change little.

    Args:
        boxes: [N, 4] float32, xyxy, of any classes.
        scores: [N] float32 in [0, 1].

    Returns:
        [N] float64 in [0, 1]; 1 for the largest box, and for boxes without area or score.

    >>> boxes = np.array([[0, 0, 20, 10], [30, 0, 40, 10], [0, 20, 5, 30]], np.float32)
    >>> prominences(boxes, np.array([0.4, 0.8, 0.2], np.float32)).tolist()
    [1.0, 1.0, 0.25]
    """
    order = np.argsort(-scores, kind="stable")
    areas = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).astype(np.float64)[order]
    values = scores.astype(np.float64)[order]
    # the largest area among boxes with a score as high, and the largest reduced one among the others
    of_better = np.maximum.accumulate(areas)
    of_others = np.maximum.accumulate((areas * values)[::-1])[::-1]
    is_sound = (areas > 0) & (values > 0)
    largest = np.maximum(of_better, np.divide(of_others, values, out=np.zeros_like(values), where=is_sound))
    found = np.ones(len(boxes))
    found[order] = np.divide(areas, largest, out=np.ones_like(areas), where=is_sound)
    return found
