"""Evaluation of a data set's detections under a choice of rules, and the files that explain it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from incdet.config.sections import DISPLAY_THRESHOLD
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.photo_frame import fit_to_annotation
from incdet.detections import Detections
from incdet.errors import DataError, OutputError, reason
from incdet.evaluation.average_precision import Evaluation, evaluate_columns
from incdet.evaluation.coco_documents import (
    coco_annotations,
    coco_image_ids,
    coco_results_of,
    stored_coco_results,
)
from incdet.evaluation.coco_rules import Backend, CocoEvaluation, evaluate_coco
from incdet.evaluation.columns import DetectionColumns, detection_columns, object_columns
from incdet.evaluation.confusion import confusion_matrix
from incdet.evaluation.contact_sheet import contact_sheet
from incdet.evaluation.error_analysis import ErrorAnalysis, analyse_errors
from incdet.evaluation.html_report import html_report
from incdet.evaluation.plots import average_precision_plot, missing_plots, precision_recall_plot
from incdet.evaluation.predictions import has_coco_results
from incdet.evaluation.rules import Rules
from incdet.evaluation.stored_evaluation import FILE_NAME, save_evaluation
from incdet.evaluation.submission import submission_text
from incdet.runtime.counted_words import counted, first_ones, of_all
from incdet.runtime.files import atomic_file, write_text
from incdet.runtime.json_files import write_json
from incdet.runtime.picture_files import save_picture
from incdet.structures import GroundTruth

RulesChoice = Literal[Rules, "coco"]
"""Names of all rules."""

NETWORKS = "networks"
"""Folder of the reports on the networks of an ensemble, within that of the report on all of them."""

REPORT_FILES = (
    FILE_NAME,
    "errors.json",
    "confusion.csv",
    "precision_recall.png",
    "average_precision.png",
    "contact_sheet.jpg",
    "report.html",
)
"""Names of the files that a report may consist of."""


def evaluate_dataset(
    dataset: Dataset,
    detections: DetectionColumns,
    rules: RulesChoice,
    coco_backend: Backend,
    predictions: Path | None,
    warn: Warn,
) -> Evaluation | CocoEvaluation:
    """Evaluates the detections of a data set.

    Args:
        dataset: The data set.
        detections: Its detections.
        rules: The rules of ILSVRC, VOC (two kinds) or COCO.
        coco_backend: The package that computes COCO's numbers.
        predictions: File of the detections, or None. Under COCO's rules its numbers are used as they stand there.
        warn: Function that is told which classes have no objects.
    """
    evaluation: Evaluation | CocoEvaluation
    if rules == "coco":
        evaluation = _evaluate_coco(dataset, detections, coco_backend, predictions)
    else:
        objects = object_columns(dataset.ground_truths)
        # only ILSVRC's kit knows pairs of image and class that do not count
        blacklist = dataset.blacklist if rules == "ilsvrc" else ()
        evaluation = evaluate_columns(dataset.class_names, len(dataset), objects, detections, rules, blacklist)
    empty = np.flatnonzero(evaluation.num_objects == 0).tolist()
    if empty:
        names = first_ones(dataset.class_names[class_id] for class_id in empty)
        share = of_all(len(empty), len(dataset.class_names), "class", "classes")
        missing = f"{share} {'has' if len(empty) == 1 else 'have'} no objects in {dataset.name} ({names})"
        warn(f"{missing}: mAP is the mean over the others")
    return evaluation


def evaluate(
    detections: Iterable[Detections], dataset: Dataset, rules: RulesChoice | None = None
) -> Evaluation | CocoEvaluation:
    """Evaluates detections in a data set's photos, the same number that `incdet evaluate` prints.

    Example:
        >>> from incdet import read_dataset, Detector  # doctest: +SKIP
        >>> dataset = read_dataset("voc", "VOC2012", "val")  # doctest: +SKIP
        >>> found = Detector.from_pretrained().detect_many(dataset.image_paths)  # doctest: +SKIP
        >>> evaluate(found, dataset).mean_average_precision  # doctest: +SKIP

    Args:
        detections: The detections of each photo, in the order of the data set. A photo whose file has another size than
            its annotation states is rescaled.
        dataset: The annotated photos.
        rules: "ilsvrc", "voc", "voc07" or "coco"; None is the rules of the data set's collection, as for
            `incdet evaluate`.

    Raises:
        ImageError: A photo has another shape than its annotation states.
        DataError: The number of detections is not that of the photos, or their classes are not those of the data set.
    """
    pairs = zip(_in_pairs(detections, dataset), dataset.image_paths, strict=True)
    found = [fit_to_annotation(entry, truth, path) for (entry, truth), path in pairs]
    return evaluate_dataset(dataset, detection_columns(found), rules or dataset.rules, "pycocotools", None, no_warning)


def _in_pairs(detections: Iterable[Detections], dataset: Dataset) -> list[tuple[Detections, GroundTruth]]:
    found = list(detections)
    if len(found) != len(dataset):
        raise DataError(
            f"there are detections in {counted(len(found), 'photo')} and {dataset.name} has {len(dataset)}; give those "
            "of every photo, in the order of the data set"
        )
    for entry in found:
        if entry.class_names != dataset.class_names:
            classes = counted(len(entry.class_names), "class", "classes")
            raise DataError(
                f"the detections in {entry.image} are of {classes}, and those of {dataset.name} "
                f"are {len(dataset.class_names)} others; give detections by weights that were trained for it"
            )
    return list(zip(found, dataset.ground_truths, strict=True))


def write_report(
    evaluation: Evaluation, dataset: Dataset, folder: Path, score_threshold: float = DISPLAY_THRESHOLD
) -> ErrorAnalysis:
    """Writes a report about an evaluation and returns its error analysis.

    The files are errors.json, confusion.csv, report.html, two plots, a contact sheet where photos can be read, and the
    stored evaluation for `incdet compare`. Without matplotlib the plots are left out.

    Args:
        evaluation: The evaluation.
        dataset: Its data set.
        folder: The folder of the report; it is made where it does not exist.
        score_threshold: Lowest score of the detections on the contact sheet and in the confusion matrix, default the
            one from which `incdet detect` shows detections.

    Raises:
        OutputError: The folder cannot be written to.
    """
    remove_report(folder)
    analysis = analyse_errors(evaluation)
    write_json(folder / "errors.json", analysis.to_json())
    matrix = confusion_matrix(evaluation, score_threshold)
    write_text(folder / "confusion.csv", matrix.to_csv())
    plots = {}
    if missing_plots() is None:
        plots["precision_recall.png"] = precision_recall_plot(evaluation)
        plots["average_precision.png"] = average_precision_plot(evaluation)
    for name, png in plots.items():
        with atomic_file(folder / name) as stream:
            stream.write(png)
    sheet = contact_sheet(evaluation, dataset, score_threshold)
    if sheet is not None:
        save_picture(folder / "contact_sheet.jpg", sheet)
    write_text(folder / "report.html", html_report(evaluation, analysis, matrix, dataset, list(plots.values())))
    # last, so that what `incdet compare` finds belongs to the report beside it
    save_evaluation(folder / FILE_NAME, evaluation, dataset.name, [truth.image for truth in dataset.ground_truths])
    return analysis


def remove_report(folder: Path) -> bool:
    """Removes the report of an earlier evaluation, of whose files a new one may not write all.

    Args:
        folder: The folder of the report, whose other files stay.

    Returns:
        Whether there was one.

    Raises:
        OutputError: A file cannot be removed.
    """
    places = [folder, *(folder / NETWORKS).glob("*")]
    # files that only have such a name are nobody's report
    places = [place for place in places if any((place / name).is_file() for name in (FILE_NAME, "errors.json"))]
    for place in places:
        for name in REPORT_FILES:
            try:
                (place / name).unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"cannot remove {place / name}, of an earlier evaluation: {reason(error)}") from None
    return bool(places)


def write_network_reports(
    by_network: Mapping[str, Evaluation | CocoEvaluation], dataset: Dataset, folder: Path
) -> dict[str, Path]:
    """Writes a report for every network of an ensemble, where the rules have one, and returns the folders by name.

    Args:
        by_network: Evaluation of each network by its name.
        dataset: The data set.
        folder: The folder of the ensemble's report.

    Raises:
        OutputError: The folder cannot be written to.
    """
    folders: dict[str, Path] = {}
    for name, evaluation in by_network.items():
        # COCO's rules have no report
        if isinstance(evaluation, Evaluation):
            folders[name] = folder / NETWORKS / name.replace(" ", "-")
            write_report(evaluation, dataset, folders[name])
    return folders


def write_submission(detections: DetectionColumns, dataset: Dataset, folder: Path) -> Path:
    """Writes submission.txt, the form in which ILSVRC's server takes detections, and returns its path.

    Raises:
        OutputError: The folder cannot be written to.
    """
    write_text(folder / "submission.txt", submission_text(detections, dataset))
    return folder / "submission.txt"


def _evaluate_coco(
    dataset: Dataset, detections: DetectionColumns, backend: Backend, predictions: Path | None
) -> CocoEvaluation:
    if predictions is not None and has_coco_results(predictions):
        results = stored_coco_results(predictions, dataset)
    else:
        results = coco_results_of(detections, dataset, coco_image_ids(dataset))
    # the objects that the reader has checked, so that every rule has the same ones
    return evaluate_coco(coco_annotations(dataset), results, backend)
