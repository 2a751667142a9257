"""Average precision: how many of the annotated objects are found, and how many false alarms that costs.

Rules are a named choice; all of them compute the Jaccard index (IoU) with inclusive pixels, rank detections by falling
score, and order equal scores by image, then by the order of the file:

- `ilsvrc` is the ILSVRC development kit's `eval_detection.m`: an object is found at IoU >= min(0.5, wh / ((w + 10)
  (h + 10))), each detection takes the best object of its class that is still free, blacklisted pairs of image and class
  count neither way, AP is the whole area under the monotone envelope of precision over recall. VOC's `difficult` is
  unknown to it.
- `voc` is PASCAL VOC since 2010: IoU >= 0.5 with the object overlapped most, taken or not; `difficult` objects count
  neither way; the same area.
- `voc07` is VOC 2007: matching as `voc`, AP is the mean of the best precision from recalls 0, 0.1, ..., 1 on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from incdet.detections import Detections
from incdet.evaluation.columns import DetectionColumns, ObjectColumns, detection_columns, object_columns
from incdet.evaluation.matching import assign_objects, find_pairs
from incdet.structures import GroundTruth

Rules = Literal["ilsvrc", "voc", "voc07"]

FALSE, TRUE, IGNORED = 0, 1, -1

_TOLERANCE = 10
"""Pixels by which the ILSVRC threshold lets an annotation of a small object be off."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The judgement over a data set.

    Attributes:
        rules: under which it was made.
        iou_threshold: overlap that finds an object; the largest one under `ilsvrc`.
        blacklist: pairs of image position and class id that counted neither way.
        class_names: the C classes.
        num_images: how many images were judged.
        objects: the objects that were looked for, ignored ones included; blacklisted ones are gone.
        detections: all of them, in the order given.
        verdicts: [D] int8: TRUE, FALSE or IGNORED.
        matches: [D] int64, row of the object that a TRUE detection found, else -1.
        average_precision: [C] float64; NaN for a class without required objects.
        recall: [C] float64, share of the required objects found by any detection; NaN likewise.
        num_objects: [C] int64, required objects.
    """

    rules: Rules
    iou_threshold: float
    blacklist: frozenset[tuple[int, int]]
    class_names: tuple[str, ...]
    num_images: int
    objects: ObjectColumns
    detections: DetectionColumns
    verdicts: np.ndarray
    matches: np.ndarray
    average_precision: np.ndarray
    recall: np.ndarray
    num_objects: np.ndarray

    @property
    def mean_average_precision(self) -> float:
        """mAP: the mean over the classes that have required objects; NaN where none has."""
        return float(np.nanmean(self.average_precision)) if self.num_objects.any() else float("nan")

    @property
    def median_average_precision(self) -> float:
        """The median over the classes that have required objects; NaN where none has."""
        return float(np.nanmedian(self.average_precision)) if self.num_objects.any() else float("nan")

    @property
    def pooled_average_precision(self) -> float:
        """AP of all classes' detections in one list: objects count alike, so a class of few moves it less than mAP."""
        ranked = np.argsort(-self.detections.scores, kind="stable")
        return average_precision_of(self.verdicts[ranked], int(self.num_objects.sum()), self.rules)[0]

    @property
    def num_detections(self) -> int:
        """D, all that were judged."""
        return len(self.detections)

    def curve(self, class_id: int) -> tuple[np.ndarray, np.ndarray]:
        """(precision, recall) of a class after each of its counted detections, best score first."""
        rows = np.flatnonzero(self.detections.class_ids == class_id)
        rows = rows[np.argsort(self.detections.images[rows], kind="stable")]
        ranked = rows[np.argsort(-self.detections.scores[rows], kind="stable")]
        return precision_and_recall(self.verdicts[ranked], int(self.num_objects[class_id]))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers at full precision; a class without objects has AP null."""
        return results_json(self)


def evaluate_detections(
    class_names: tuple[str, ...],
    ground_truths: Sequence[GroundTruth],
    detections: Sequence[Detections],
    rules: Rules = "voc",
    iou_threshold: float = 0.5,
) -> Evaluation:
    """Judges one `Detections` per `GroundTruth`, in the same order.

    Raises:
        ValueError: the two sequences differ in length, or detections have other classes.
    """
    if len(ground_truths) != len(detections):
        raise ValueError(f"expected detections for {len(ground_truths)} images, got {len(detections)}")
    for found in detections:
        if found.class_names != class_names:
            raise ValueError(f"{found.image}: expected the data set's {len(class_names)} classes, got other ones")
    columns = object_columns(ground_truths), detection_columns(detections)
    return evaluate_columns(class_names, len(ground_truths), *columns, rules, iou_threshold=iou_threshold)


def evaluate_columns(
    class_names: tuple[str, ...],
    num_images: int,
    objects: ObjectColumns,
    detections: DetectionColumns,
    rules: Rules = "voc",
    blacklist: Collection[tuple[int, int]] = (),
    iou_threshold: float = 0.5,
) -> Evaluation:
    """Judges the detections of a whole data set.

    Args:
        class_names: the C classes.
        num_images: of the data set, those without objects and detections included.
        objects: what was to be found.
        detections: what was found, in the file's order.
        rules: see the module.
        blacklist: pairs of image position and class id that count neither way (ILSVRC).
        iou_threshold: smallest overlap that finds an object; the largest one under `ilsvrc`.
    """
    num_classes = len(class_names)
    banned = np.array([image * num_classes + class_id for image, class_id in blacklist], np.int64)
    objects = objects[~np.isin(objects.images * num_classes + objects.class_ids, banned)]
    verdicts, matches = np.zeros(len(detections), np.int8), np.full(len(detections), -1, np.int64)
    barred = np.isin(detections.images * num_classes + detections.class_ids, banned)
    results = []
    object_rows = _rows_of_classes(objects, num_classes)
    for rows, looked_for in zip(_rows_of_classes(detections, num_classes), object_rows, strict=True):
        verdict, match = judge_class(objects[looked_for], detections[rows], rules, iou_threshold)
        verdicts[rows] = np.where(barred[rows], IGNORED, verdict)
        matches[rows[match >= 0]] = looked_for[match[match >= 0]]
        required = len(looked_for) if rules == "ilsvrc" else int((~objects.ignored[looked_for]).sum())
        ranked = rows[np.argsort(-detections.scores[rows], kind="stable")]
        results.append((*average_precision_of(verdicts[ranked], required, rules), required))
    columns = [np.array(column) for column in zip(*results, strict=True)]
    result = columns[0].astype(np.float64), columns[1].astype(np.float64), columns[2].astype(np.int64)
    head = rules, iou_threshold, frozenset(blacklist), class_names, num_images
    return Evaluation(*head, objects, detections, verdicts, matches, *result)


def judge_class(
    objects: ObjectColumns, detections: DetectionColumns, rules: Rules, iou_threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Judges the detections of one class.

    Returns:
        verdicts [D] int8 (TRUE, FALSE, IGNORED) and matches [D] int64: the object that a TRUE detection found, else -1.
    """
    verdicts, matches = np.full(len(detections), FALSE, np.int8), np.full(len(detections), -1, np.int64)
    order = np.lexsort((-detections.scores, detections.images))
    images, boxes = detections.images[order], detections.boxes_inclusive[order]
    thresholds = object_thresholds(objects.boxes_inclusive, rules, iou_threshold)
    pairs = find_pairs(images, boxes, objects.images, objects.boxes_inclusive, thresholds)
    if rules != "ilsvrc":
        pairs = pairs.best()
        on_ignored = objects.ignored[pairs.objects]
        verdicts[order[pairs.detections[on_ignored]]] = IGNORED
        pairs = pairs[~on_ignored]
    matches[order] = assign_objects(pairs, len(detections), len(objects))
    verdicts[matches >= 0] = TRUE
    return verdicts, matches


def object_thresholds(boxes_inclusive: np.ndarray, rules: Rules, iou_threshold: float = 0.5) -> np.ndarray:
    """The overlap that each object [K, 4] asks for: lower for small objects under `ilsvrc`.

    >>> object_thresholds(np.array([[0, 0, 99, 99], [0, 0, 9, 9]]), "ilsvrc").tolist()
    [0.5, 0.25]
    """
    if rules != "ilsvrc":
        return np.full(len(boxes_inclusive), iou_threshold)
    width, height = (boxes_inclusive[:, side + 2] - boxes_inclusive[:, side] + 1 for side in (0, 1))
    return np.minimum(iou_threshold, width * height / ((width + _TOLERANCE) * (height + _TOLERANCE)))


def average_precision_of(verdicts: np.ndarray, required: int, rules: Rules) -> tuple[float, float]:
    """(AP, recall) of one class from its verdicts, best score first; NaN where nothing is required."""
    if required == 0:
        return float("nan"), float("nan")
    precision, recall = precision_and_recall(verdicts, required)
    if len(recall) == 0:
        return 0.0, 0.0
    area = eleven_point_mean if rules == "voc07" else area_under_envelope
    return area(precision, recall), float(recall[-1])


def precision_and_recall(verdicts: np.ndarray, required: int) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall) after each verdict that counts, in their order."""
    counted = verdicts[verdicts != IGNORED] == TRUE
    found = np.cumsum(counted)
    return found / np.arange(1, len(counted) + 1), found / max(required, 1)


def area_under_envelope(precision: np.ndarray, recall: np.ndarray) -> float:
    """All-points AP: precision is made monotone from the right, then integrated over recall.

    >>> area_under_envelope(np.array([1.0, 0.5, 2 / 3]), np.array([0.5, 0.5, 1.0]))
    0.8333333333333333
    """
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def eleven_point_mean(precision: np.ndarray, recall: np.ndarray) -> float:
    """VOC 2007's AP: the mean over t = 0, 0.1, ..., 1 of the best precision at recalls >= t.

    >>> round(eleven_point_mean(np.array([1.0, 0.5]), np.array([0.5, 0.5])), 4)
    0.5455
    """
    return float(sum(precision[recall >= step / 10].max(initial=0.0) for step in range(11)) / 11)


class Results(Protocol):
    """What evaluations under all rules have in common."""

    @property
    def rules(self) -> str: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def mean_average_precision(self) -> float: ...
    @property
    def median_average_precision(self) -> float: ...
    @property
    def average_precision(self) -> np.ndarray: ...
    @property
    def num_objects(self) -> np.ndarray: ...
    @property
    def num_images(self) -> int: ...
    @property
    def num_detections(self) -> int: ...


def results_json(results: Results) -> dict[str, Any]:
    """Plain numbers at full precision; a class without objects has AP null."""
    return {
        "rules": results.rules,
        "mAP": plain_number(results.mean_average_precision),
        "median_AP": plain_number(results.median_average_precision),
        "ap": dict(zip(results.class_names, map(plain_number, results.average_precision), strict=True)),
        "num_images": results.num_images,
        "num_detections": results.num_detections,
        "num_ground_truth": int(results.num_objects.sum()),
    }


def plain_number(value: float) -> float | None:
    """A number for JSON, which knows no NaN."""
    return None if np.isnan(value) else float(value)


def _rows_of_classes(columns: ObjectColumns | DetectionColumns, num_classes: int) -> list[np.ndarray]:
    """The rows of every class, ordered by image, within an image as they came."""
    order = np.lexsort((columns.images, columns.class_ids))
    return np.split(order, np.searchsorted(columns.class_ids[order], np.arange(1, num_classes)))
