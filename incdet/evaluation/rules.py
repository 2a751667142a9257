"""The rules under which detections are evaluated, as a named choice.

All of them compute the Jaccard index (IoU) on inclusive pixels, a box being xmax - xmin + 1 wide. They rank detections
by descending score and order equal scores by image, then by the order of the file.

- `ilsvrc` follows the ILSVRC development kit's `eval_detection.m` (2014 and 2015 are identical). An object counts as
  found at IoU >= min(0.5, wh / ((w + 10)(h + 10))). Each detection takes the best object of its class that is still
  free. Blacklisted pairs of image and class count neither way. AP is the whole area under the monotone envelope of
  precision over recall. VOC's `difficult` flag has no meaning here.
- `voc` follows PASCAL VOC since 2010. A detection is compared with the object that it overlaps most, taken or free, and
  finds it at IoU >= 0.5. `difficult` objects count neither way. AP is the same area.
- `voc07` follows VOC 2007. The matching is that of `voc`. AP is the mean of the best precision at recalls of at least
  0, 0.1, ..., 1.

The choice matters. On the demo predictions of the development kit, IoU without the inclusive pixel costs 0.75 mAP
points, one threshold for all boxes 0.78, VOC's assignment 0.03, the eleven points of VOC 2007 0.68.
"""

from typing import Literal

import numpy as np

Rules = Literal["ilsvrc", "voc", "voc07"]

FALSE, TRUE, IGNORED = 0, 1, -1
"""Verdicts on a detection: it found nothing, it found an object, it counts neither way."""

_PIXEL_TOLERANCE = 10
"""Pixels per side by which a detection of a small object may be off under `ilsvrc`, five at each border."""


def object_thresholds(boxes_inclusive: np.ndarray, rules: Rules, iou_threshold: float = 0.5) -> np.ndarray:
    """Returns the IoU [K] float64 at which each object counts as found.

    Args:
        boxes_inclusive: [K, 4] float64, inclusive corners of the objects.
        rules: The rules. Only `ilsvrc` lowers the threshold of small objects.
        iou_threshold: The threshold of all objects that are not small, default 0.5.

    >>> object_thresholds(np.array([[0, 0, 99, 99], [0, 0, 9, 9]]), "ilsvrc").tolist()
    [0.5, 0.25]
    """
    if rules != "ilsvrc":
        return np.full(len(boxes_inclusive), iou_threshold)
    # 6.4 % of ILSVRC's validation boxes are small enough for the second term to be below 0.5
    width = boxes_inclusive[:, 2] - boxes_inclusive[:, 0] + 1
    height = boxes_inclusive[:, 3] - boxes_inclusive[:, 1] + 1
    relaxed = width * height / ((width + _PIXEL_TOLERANCE) * (height + _PIXEL_TOLERANCE))
    return np.minimum(iou_threshold, relaxed)
