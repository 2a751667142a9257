"""Evaluation of the detections of a data set: average precision of every class, and mAP."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from incdet.detections import Detections
from incdet.evaluation.columns import DetectionColumns, ObjectColumns, detection_columns, object_columns
from incdet.evaluation.evaluation_json import results_json
from incdet.evaluation.matching import match_class
from incdet.evaluation.precision_recall import average_precision_of, precision_and_recall
from incdet.evaluation.rules import IGNORED, Rules
from incdet.structures import GroundTruth


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluation of a data set's detections under ILSVRC's or VOC's rules.

    Attributes:
        rules: The rules under which it was made.
        iou_threshold: IoU that finds an object; the largest one under `ilsvrc`.
        blacklist: Pairs of image position and class id that counted neither way.
        class_names: The C classes.
        num_images: Number of images that were evaluated.
        objects: The objects to be found, ignored ones included, blacklisted ones left out.
        detections: All D detections, in the order given.
        verdicts: [D] int8, TRUE, FALSE or IGNORED.
        matches: [D] int64, row of the object that a TRUE detection found, -1 for the others.
        average_precision: [C] float64; NaN for a class without required objects.
        recall: [C] float64, share of the required objects that any detection found; NaN for a class without them.
        num_objects: [C] int64, number of required objects.
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
        """AP of the detections of all classes in one ranked list.

        Every object counts alike, so a class with few objects moves it less than it moves mAP.
        """
        # equal scores are ordered by image
        ranked = np.lexsort((self.detections.images, -self.detections.scores))
        return average_precision_of(self.verdicts[ranked], int(self.num_objects.sum()), self.rules)[0]

    @property
    def is_required(self) -> np.ndarray:
        """[K] bool, whether an object counts as missed where nothing finds it."""
        return required_objects(self.objects, self.rules)

    @property
    def num_detections(self) -> int:
        """D, the number of all detections that were evaluated."""
        return len(self.detections)

    def curve(self, class_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns precision and recall of a class after each of its counted detections, best score first."""
        rows = np.flatnonzero(self.detections.class_ids == class_id)
        # equal scores are ordered by image, then by the order of the file: both sorts are stable
        rows = rows[np.argsort(self.detections.images[rows], kind="stable")]
        ranked = rows[np.argsort(-self.detections.scores[rows], kind="stable")]
        return precision_and_recall(self.verdicts[ranked], int(self.num_objects[class_id]))

    def to_json(self) -> dict[str, Any]:
        """Returns plain numbers at full precision; the AP of a class without objects is null."""
        return results_json(self)


def evaluate_detections(
    class_names: tuple[str, ...],
    ground_truths: Sequence[GroundTruth],
    detections: Sequence[Detections],
    rules: Rules = "voc",
    iou_threshold: float = 0.5,
) -> Evaluation:
    """Evaluates one `Detections` per `GroundTruth`.

    Args:
        class_names: The C classes.
        ground_truths: The objects of each image.
        detections: The detections of each image, in the same order.
        rules: The rules, default VOC's.
        iou_threshold: Smallest IoU that finds an object; the largest one under `ilsvrc`.

    Raises:
        ValueError: The two sequences differ in length, or detections have other classes.
    """
    if len(ground_truths) != len(detections):
        raise ValueError(f"expected detections for {len(ground_truths)} images, got {len(detections)}")
    for found in detections:
        if found.class_names != class_names:
            raise ValueError(f"{found.image}: expected the data set's {len(class_names)} classes, got other ones")
    return evaluate_columns(
        class_names,
        len(ground_truths),
        object_columns(ground_truths),
        detection_columns(detections),
        rules,
        iou_threshold=iou_threshold,
    )


def evaluate_columns(
    class_names: tuple[str, ...],
    num_images: int,
    objects: ObjectColumns,
    detections: DetectionColumns,
    rules: Rules = "voc",
    blacklist: Collection[tuple[int, int]] = (),
    iou_threshold: float = 0.5,
) -> Evaluation:
    """Evaluates the detections of a whole data set.

    Args:
        class_names: The C classes.
        num_images: Number of images in the data set, those without objects and detections included.
        objects: The objects to be found.
        detections: The D detections, in the order of their file.
        rules: The rules, default VOC's.
        blacklist: Pairs of image position and class id that count neither way (ILSVRC).
        iou_threshold: Smallest IoU that finds an object; the largest one under `ilsvrc`.
    """
    num_classes = len(class_names)
    # one number stands for a pair of image and class, so that pairs can be looked up as a column
    banned = np.array([image * num_classes + class_id for image, class_id in blacklist], np.int64)
    objects = objects[~np.isin(objects.images * num_classes + objects.class_ids, banned)]
    is_banned = np.isin(detections.images * num_classes + detections.class_ids, banned)

    verdicts = np.zeros(len(detections), np.int8)
    matches = np.full(len(detections), -1, np.int64)
    average_precision = np.zeros(num_classes)
    recall = np.zeros(num_classes)
    num_objects = np.zeros(num_classes, np.int64)
    detection_rows = _rows_of_classes(detections, num_classes)
    object_rows = _rows_of_classes(objects, num_classes)
    is_required = required_objects(objects, rules)
    for class_id in range(num_classes):
        rows, wanted = detection_rows[class_id], object_rows[class_id]
        class_verdicts, class_matches = match_class(objects[wanted], detections[rows], rules, iou_threshold)
        verdicts[rows] = np.where(is_banned[rows], IGNORED, class_verdicts)
        # matches number the objects of the class; the evaluation numbers all objects
        matched = class_matches >= 0
        matches[rows[matched]] = wanted[class_matches[matched]]
        num_objects[class_id] = int(is_required[wanted].sum())
        ranked = rows[np.argsort(-detections.scores[rows], kind="stable")]
        average_precision[class_id], recall[class_id] = average_precision_of(
            verdicts[ranked], int(num_objects[class_id]), rules
        )
    return Evaluation(
        rules=rules,
        iou_threshold=iou_threshold,
        blacklist=frozenset(blacklist),
        class_names=class_names,
        num_images=num_images,
        objects=objects,
        detections=detections,
        verdicts=verdicts,
        matches=matches,
        average_precision=average_precision,
        recall=recall,
        num_objects=num_objects,
    )


def required_objects(objects: ObjectColumns, rules: Rules) -> np.ndarray:
    """Returns [K] bool: the objects that rules require to be found.

    ILSVRC's kit does not know the flag `difficult` of VOC's files and requires every object.
    """
    return ~objects.ignored | (rules == "ilsvrc")


def _rows_of_classes(columns: ObjectColumns | DetectionColumns, num_classes: int) -> list[np.ndarray]:
    """Returns the rows of every class, ordered by image, within an image in their given order."""
    order = np.lexsort((columns.images, columns.class_ids))
    borders = np.searchsorted(columns.class_ids[order], np.arange(1, num_classes))
    return np.split(order, borders)
