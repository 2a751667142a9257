"""Precision and recall of stored detections over a score threshold, to choose the one from which results are shown.

    incdet detect PHOTOS --score-threshold 0.01 --save json --output found
    python experiments/display_thresholds.py --dataset ilsvrc --root R --split FILE --predictions found/detections.jsonl

Photos of ILSVRC DET are clean for weights that were trained on VOC's: no training has seen them. 19 of VOC's classes
have classes of ILSVRC that mean the same; detections of the others (diningtable) are left out, because nothing says
whether they are right. Photos without one of these classes have false detections only, and count.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from incdet.cli.console import run_program, table_console, warning
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.data.voc import VOC_CLASSES
from incdet.evaluation.average_precision import Evaluation, evaluate_columns
from incdet.evaluation.columns import DetectionColumns, object_columns
from incdet.evaluation.operating_points import operating_points
from incdet.evaluation.predictions import read_predictions
from incdet.structures import GroundTruth

SAME_CLASSES = {
    "airplane": "aeroplane",
    "bicycle": "bicycle",
    "bird": "bird",
    "bus": "bus",
    "car": "car",
    "cattle": "cow",
    "chair": "chair",
    "dog": "dog",
    "domestic cat": "cat",
    "flower pot": "pottedplant",
    "horse": "horse",
    "motorcycle": "motorbike",
    "person": "person",
    "sheep": "sheep",
    "sofa": "sofa",
    "train": "train",
    "tv or monitor": "tvmonitor",
    "water bottle": "bottle",
    "watercraft": "boat",
    "wine bottle": "bottle",
}
"""Classes of VOC by the classes of ILSVRC DET that mean the same."""

THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)


def main(
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    split: Annotated[str, typer.Option(help="Photos that are judged.")],
    predictions: Annotated[Path, typer.Option(help="detections.jsonl of these photos, from a low score on.")],
) -> None:
    """Prints mAP, pooled AP and a row per threshold; F1 weighs precision and recall alike."""
    data = read_dataset(dataset, root, split, warn=warning)
    if dataset == Collection.ilsvrc:
        data = with_classes_of_voc(data)
    found = read_predictions(predictions, data, warning)
    known = np.unique([truth for truths in data.ground_truths for truth in truths.class_ids.tolist()])
    if dataset == Collection.ilsvrc:
        known = np.array([VOC_CLASSES.index(name) for name in set(SAME_CLASSES.values())])
    found = found[np.isin(found.class_ids, known)]
    has_objects = np.array([len(truth) > 0 for truth in data.ground_truths])
    table_console(None).print(_table(_evaluate(data, found), f"{data.name}: all {len(data)} photos"))
    if not has_objects.all():
        rows = np.flatnonzero(has_objects)
        table_console(None).print(_table(_evaluate_part(data, found, rows), f"{len(rows)} photos with objects"))


def with_classes_of_voc(data: Dataset) -> Dataset:
    """Returns ILSVRC's photos with those objects that have a class of VOC, under its name."""
    truths = []
    for truth in data.ground_truths:
        names = [SAME_CLASSES.get(data.class_names[class_id], "") for class_id in truth.class_ids]
        kept = [row for row, name in enumerate(names) if name]
        class_ids = np.array([VOC_CLASSES.index(names[row]) for row in kept], np.int64)
        boxes, ignored = truth.boxes[kept], truth.ignored[kept]
        truths.append(GroundTruth(truth.image, truth.width, truth.height, boxes, class_ids, ignored))
    return replace(
        data,
        class_names=VOC_CLASSES,
        ground_truths=tuple(truths),
        category_ids=tuple(range(len(VOC_CLASSES))),
        blacklist=frozenset(),
        rules="voc",
    )


def _evaluate(data: Dataset, found: DetectionColumns) -> Evaluation:
    return evaluate_columns(data.class_names, len(data), object_columns(data.ground_truths), found, "voc")


def _evaluate_part(data: Dataset, found: DetectionColumns, rows: np.ndarray) -> Evaluation:
    """Evaluates some photos only: the images of all detections keep their order and get new numbers."""
    numbers = np.full(len(data), -1)
    numbers[rows] = np.arange(len(rows))
    images = numbers[found.images]
    part = found[images >= 0]
    objects = object_columns([data.ground_truths[row] for row in rows])
    return evaluate_columns(data.class_names, len(rows), objects, replace(part, images=images[images >= 0]), "voc")


def _table(evaluation: Evaluation, title: str) -> Table:
    quality = f"mAP {evaluation.mean_average_precision:.3f}, pooled AP {evaluation.pooled_average_precision:.3f}"
    table = Table(title=f"{title}, {int(evaluation.num_objects.sum())} objects, {quality}")
    for heading in ("threshold", "shown", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    for point in operating_points(evaluation, THRESHOLDS):
        both = point.num_detections + point.num_objects
        cells = [point.precision, point.recall, 2 * point.num_right / both if both else float("nan")]
        table.add_row(f"{point.score_threshold:g}", str(point.num_detections), *(f"{cell:.3f}" for cell in cells))
    return table


if __name__ == "__main__":
    run_program(main)
