"""Average precision: how many of the annotated objects are found, and how many false alarms that costs.

Rules are a named choice. `voc` is the PASCAL VOC development kit since 2010: an object is found at IoU >= 0.5 by the
best-scored detection that overlaps it most, `difficult` objects count neither way, and AP is the whole area under the
monotone envelope of the precision-recall curve.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from incdet.boxes import box_iou
from incdet.structures import Detections, GroundTruth

Rules = Literal["voc"]

FALSE, TRUE, IGNORED = 0, 1, -1


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The judgement over a data set.

    Attributes:
        rules: under which it was made.
        class_names: the C classes.
        average_precision: [C] float64; NaN for a class without required objects.
        recall: [C] float64, share of the required objects found by any detection; NaN likewise.
        num_objects: [C] int64, required objects.
        num_images, num_detections: what was judged.
    """

    rules: Rules
    class_names: tuple[str, ...]
    average_precision: np.ndarray
    recall: np.ndarray
    num_objects: np.ndarray
    num_images: int
    num_detections: int

    @property
    def mean_average_precision(self) -> float:
        """mAP: the mean over the classes that have required objects; NaN where none has."""
        return float(np.nanmean(self.average_precision)) if self.num_objects.any() else float("nan")

    @property
    def median_average_precision(self) -> float:
        """The median over the classes that have required objects; NaN where none has."""
        return float(np.nanmedian(self.average_precision)) if self.num_objects.any() else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Plain numbers at full precision; a class without objects has AP null."""
        return {
            "rules": self.rules,
            "mAP": _plain(self.mean_average_precision),
            "median_AP": _plain(self.median_average_precision),
            "ap": {name: _plain(ap) for name, ap in zip(self.class_names, self.average_precision, strict=True)},
            "num_images": self.num_images,
            "num_detections": self.num_detections,
            "num_ground_truth": int(self.num_objects.sum()),
        }


def evaluate_detections(
    class_names: tuple[str, ...],
    ground_truths: Sequence[GroundTruth],
    detections: Sequence[Detections],
    iou_threshold: float = 0.5,
) -> Evaluation:
    """Judges one `Detections` per `GroundTruth`, in the same order, under VOC's rules.

    Boxes are half-open, so their IoU is the development kit's inclusive one. Equal scores are ordered by image, then
    by their order within the image.

    Raises:
        ValueError: the two sequences differ in length, or detections have other classes.
    """
    if len(ground_truths) != len(detections):
        raise ValueError(f"expected detections for {len(ground_truths)} images, got {len(detections)}")
    for found in detections:
        if found.class_names != class_names:
            raise ValueError(f"{found.image}: expected the data set's {len(class_names)} classes, got other ones")
    pairs = list(zip(ground_truths, detections, strict=True))
    results = [_judge_class(class_id, pairs, iou_threshold) for class_id in range(len(class_names))]
    return Evaluation(
        rules="voc",
        class_names=class_names,
        average_precision=np.array([ap for ap, _, _ in results], np.float64),
        recall=np.array([recall for _, recall, _ in results], np.float64),
        num_objects=np.array([count for _, _, count in results], np.int64),
        num_images=len(ground_truths),
        num_detections=sum(len(found) for found in detections),
    )


def area_under_envelope(precision: np.ndarray, recall: np.ndarray) -> float:
    """All-points AP: precision is made monotone from the right, then integrated over recall.

    >>> area_under_envelope(np.array([1.0, 0.5, 2 / 3]), np.array([0.5, 0.5, 1.0]))
    0.8333333333333333
    """
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def _judge_class(
    class_id: int, pairs: Sequence[tuple[GroundTruth, Detections]], iou_threshold: float
) -> tuple[float, float, int]:
    """(AP, recall, number of required objects) of one class."""
    required = sum(int(np.sum((truth.class_ids == class_id) & ~truth.ignored)) for truth, _ in pairs)
    if required == 0:
        return float("nan"), float("nan"), 0
    judged = list(_verdicts(class_id, pairs, iou_threshold))
    scores = np.concatenate([scores for scores, _ in judged]) if judged else np.zeros(0)
    verdicts = np.concatenate([verdicts for _, verdicts in judged]) if judged else np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    counted = verdicts[order][verdicts[order] != IGNORED]
    found, false = np.cumsum(counted == TRUE), np.cumsum(counted == FALSE)
    recall = found / required
    ap = area_under_envelope(found / np.maximum(found + false, 1), recall)
    return ap, float(recall[-1]) if len(recall) else 0.0, required


def _verdicts(
    class_id: int, pairs: Sequence[tuple[GroundTruth, Detections]], iou_threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(scores, verdicts) of the class's detections in every image that has any."""
    for truth, found in pairs:
        chosen = np.flatnonzero(found.class_ids == class_id)
        if len(chosen):
            objects = truth.class_ids == class_id
            boxes, ignored = truth.boxes[objects], truth.ignored[objects]
            scores = found.scores[chosen]
            yield scores, match_image(found.boxes[chosen], scores, boxes, ignored, iou_threshold)


def match_image(
    boxes: np.ndarray, scores: np.ndarray, objects: np.ndarray, ignored: np.ndarray, iou_threshold: float
) -> np.ndarray:
    """Verdicts [N] (TRUE, FALSE, IGNORED) on one image's detections of one class, VOC's assignment.

    Every detection is compared with the object that it overlaps most, taken or not; the best-scored one takes it.

    Args:
        boxes: [N, 4] float32, xyxy pixels.
        scores: [N] float32.
        objects: [K, 4] float32, the annotated boxes of the class.
        ignored: [K] bool.
        iou_threshold: smallest overlap that finds an object.
    """
    verdicts = np.full(len(boxes), FALSE, np.int8)
    if len(objects) == 0:
        return verdicts
    iou = box_iou(boxes, objects)
    best, overlap = iou.argmax(axis=1), iou.max(axis=1)
    taken = np.zeros(len(objects), bool)
    for row in np.argsort(-scores, kind="stable"):
        if overlap[row] < iou_threshold:
            continue
        if ignored[best[row]]:
            verdicts[row] = IGNORED
        elif not taken[best[row]]:
            verdicts[row] = TRUE
            taken[best[row]] = True
    return verdicts


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
