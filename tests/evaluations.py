"""Evaluations of hand-made photos, for tests."""

from dataclasses import replace

import devkit_reference as reference
import numpy as np

from incdet.evaluation.average_precision import Evaluation, evaluate_columns
from incdet.evaluation.columns import DetectionColumns, ObjectColumns


def evaluate_reference_values(num_classes, objects, detections, rules, blacklist=()):
    """Evaluates the objects and detections of the slow reference with incdet."""
    columns = ObjectColumns(
        np.array([entry.image for entry in objects], np.int64),
        np.array([entry.class_id for entry in objects], np.int64),
        np.array([entry.box for entry in objects], np.float64).reshape(-1, 4),
        np.array([entry.difficult for entry in objects], np.bool_),
    )
    found = DetectionColumns(
        np.array([entry.image for entry in detections], np.int64),
        np.array([entry.class_id for entry in detections], np.int64),
        np.array([entry.score for entry in detections], np.float64),
        np.array([entry.box for entry in detections], np.float64).reshape(-1, 4),
    )
    names = tuple(f"class {number}" for number in range(num_classes))
    return evaluate_columns(names, 99, columns, found, rules, blacklist)


def evaluate(photos: list[tuple[list, list]], num_classes: int, rules="voc") -> Evaluation:
    """Evaluates photos given as ([(class id, box, difficult)], [(class id, box, score)])."""
    objects, detections = [], []
    for image, (wanted, found) in enumerate(photos):
        objects += [reference.ReferenceObject(image, kind, box, difficult) for kind, box, difficult in wanted]
        detections += [reference.ReferenceDetection(image, kind, score, box) for kind, box, score in found]
    evaluation = evaluate_reference_values(num_classes, objects, detections, rules)
    return replace(evaluation, num_images=len(photos))
