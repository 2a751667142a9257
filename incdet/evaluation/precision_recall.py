"""From the verdicts on a ranked list of detections to precision, recall and average precision."""

import numpy as np

from incdet.evaluation.rules import IGNORED, TRUE, Rules


def average_precision_of(verdicts: np.ndarray, num_required: int, rules: Rules) -> tuple[float, float]:
    """Returns AP and recall of one class.

    Args:
        verdicts: [D] int8, verdicts on the detections of the class, best score first.
        num_required: Number of objects that must be found.
        rules: The rules, which decide between the area and the eleven points.

    Returns:
        AP and recall. Both are NaN where nothing is required, and 0 where nothing counts as detected.
    """
    if num_required == 0:
        return float("nan"), float("nan")
    precision, recall = precision_and_recall(verdicts, num_required)
    # a class with objects but without detections has AP 0 in the development kit and counts in the mean
    if len(recall) == 0:
        return 0.0, 0.0
    if rules == "voc07":
        return eleven_point_mean(precision, recall), float(recall[-1])
    return area_under_envelope(precision, recall), float(recall[-1])


def precision_and_recall(verdicts: np.ndarray, num_required: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns precision and recall, each [D'] float64, after each verdict that counts.

    Args:
        verdicts: [D] int8, verdicts in their ranked order. IGNORED ones are left out.
        num_required: Number of objects that must be found.
    """
    is_true = verdicts[verdicts != IGNORED] == TRUE
    num_found = np.cumsum(is_true)
    num_counted = np.arange(1, len(is_true) + 1)
    return num_found / num_counted, num_found / max(num_required, 1)


def area_under_envelope(precision: np.ndarray, recall: np.ndarray) -> float:
    """Returns the all-points AP: the area under the monotone envelope of precision over recall.

    >>> area_under_envelope(np.array([1.0, 0.5, 2 / 3]), np.array([0.5, 0.5, 1.0]))
    0.8333333333333333
    """
    # the envelope at a recall is the best precision at that recall or a higher one
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def eleven_point_mean(precision: np.ndarray, recall: np.ndarray) -> float:
    """Returns VOC 2007's AP: the mean over t = 0, 0.1, ..., 1 of the best precision at recalls >= t.

    >>> round(eleven_point_mean(np.array([1.0, 0.5]), np.array([0.5, 0.5])), 4)
    0.5455
    """
    # a recall that is never reached contributes a precision of 0
    best = [precision[recall >= step / 10].max(initial=0.0) for step in range(11)]
    return float(sum(best) / 11)


def envelope_at(precision: np.ndarray, recall: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Returns the best precision at each of the given recalls or beyond; 0 where a recall is never reached.

    >>> envelope_at(np.array([1.0, 0.5, 2 / 3]), np.array([0.5, 0.5, 1.0]), np.array([0.2, 0.8])).round(3).tolist()
    [1.0, 0.667]
    """
    # the appended 0 is the precision beyond the last recall
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    # the tolerance keeps a grid point on a recall that is equal but for rounding
    return envelope[np.searchsorted(recall, recalls - 1e-9)]
