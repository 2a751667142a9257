"""Detections of a data set -> the judgement under a choice of rules, and the files that explain it."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from incdet.config.sections import DetectionsConfig
from incdet.data.coco import read_json
from incdet.data.dataset import Dataset, Warn
from incdet.evaluation.average_precision import Evaluation, Rules, evaluate_columns
from incdet.evaluation.coco_rules import Backend, CocoEvaluation, coco_annotations, coco_results_of, evaluate_coco
from incdet.evaluation.columns import DetectionColumns, object_columns
from incdet.evaluation.comparison import FILE_NAME, save_judgement
from incdet.evaluation.contact_sheet import contact_sheet
from incdet.evaluation.error_analysis import ErrorAnalysis, analyse_errors
from incdet.evaluation.html_report import html_report
from incdet.evaluation.plots import average_precision_plot, precision_recall_plot
from incdet.evaluation.predictions import has_coco_results, submission_text
from incdet.output.draw import save_picture
from incdet.runtime.files import atomic_file, write_text

RulesChoice = Literal[Rules, "coco"]


def evaluate_dataset(
    dataset: Dataset,
    detections: DetectionColumns,
    rules: RulesChoice,
    coco_backend: Backend,
    predictions: Path | None,
    warn: Warn,
) -> Evaluation | CocoEvaluation:
    """Judges the detections of a data set.

    Args:
        dataset: what was to be found.
        detections: what was found.
        rules: of ILSVRC, VOC (two kinds) or COCO.
        coco_backend: for COCO's rules.
        predictions: the file of the detections; under COCO's rules its numbers are used as they stand there.
        warn: told which classes have no objects.
    """
    if rules == "coco":
        result: Evaluation | CocoEvaluation = _evaluate_coco(dataset, detections, coco_backend, predictions)
    else:
        objects = object_columns(dataset.ground_truths)
        blacklist = dataset.blacklist if rules == "ilsvrc" else ()
        result = evaluate_columns(dataset.class_names, len(dataset), objects, detections, rules, blacklist)
    empty = np.flatnonzero(result.num_objects == 0).tolist()
    if empty:
        names = ", ".join(dataset.class_names[class_id] for class_id in empty[:3])
        missing = f"{len(empty)} of {len(dataset.class_names)} classes have no objects in {dataset.name} ({names})"
        warn(f"{missing}: mAP is the mean over the others")
    return result


def write_report(evaluation: Evaluation, dataset: Dataset, folder: Path) -> ErrorAnalysis:
    """Writes errors.json, two plots, a sheet of photos where there are any, report.html, and what
    `tools/compare_runs.py` reads; returns the analysis.

    Raises:
        OutputError: the folder cannot be written to.
    """
    analysis = analyse_errors(evaluation)
    save_judgement(folder / FILE_NAME, evaluation, dataset.name, [truth.image for truth in dataset.ground_truths])
    write_text(folder / "errors.json", json.dumps(analysis.to_json(), indent=2) + "\n")
    plots = {
        "precision_recall.png": precision_recall_plot(evaluation),
        "average_precision.png": average_precision_plot(evaluation),
    }
    for name, png in plots.items():
        with atomic_file(folder / name) as stream:
            stream.write(png)
    sheet = contact_sheet(evaluation, dataset, DetectionsConfig().display_threshold)
    if sheet is not None:
        save_picture(folder / "contact_sheet.jpg", sheet)
    write_text(folder / "report.html", html_report(evaluation, analysis, dataset, list(plots.values())))
    return analysis


def write_submission(detections: DetectionColumns, dataset: Dataset, folder: Path) -> Path:
    """Writes submission.txt, the form in which ILSVRC's server takes detections, and returns its path.

    Raises:
        OutputError: the folder cannot be written to.
    """
    write_text(folder / "submission.txt", submission_text(detections, dataset))
    return folder / "submission.txt"


def _evaluate_coco(
    dataset: Dataset, detections: DetectionColumns, backend: Backend, predictions: Path | None
) -> CocoEvaluation:
    if dataset.coco_file is None:
        numbers = range(1, len(dataset) + 1)
        return evaluate_coco(coco_annotations(dataset), coco_results_of(detections, dataset, numbers), backend)
    results = _stored_results(predictions, dataset) if predictions is not None else None
    if results is None:
        results = coco_results_of(detections, dataset, dataset.image_ids)
    return evaluate_coco(read_json(dataset.coco_file), results, backend)


def _stored_results(predictions: Path, dataset: Dataset) -> list[dict[str, Any]] | None:
    """The entries of a COCO results file on the data set's images; None where the file has another form."""
    if not has_coco_results(predictions):
        return None
    # as `read_predictions` does, images may go by their names too
    ids: dict[Any, int | str] = {
        truth.image: image for truth, image in zip(dataset.ground_truths, dataset.image_ids, strict=True)
    }
    ids |= {image: image for image in dataset.image_ids}
    entries = read_json(predictions)
    return [entry | {"image_id": ids[entry["image_id"]]} for entry in entries if entry["image_id"] in ids]
