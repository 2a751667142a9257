"""Evaluations, comparisons and coverage as tables for the terminal."""

from collections.abc import Mapping

import numpy as np
from rich.markup import escape
from rich.table import Table

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.classification_accuracy import AccuracyTable
from incdet.evaluation.coco_rules import CocoEvaluation
from incdet.evaluation.comparison import Comparison
from incdet.evaluation.error_analysis import ErrorAnalysis
from incdet.evaluation.recall import Coverage, overlap_statistics
from incdet.ops.decimals import shown_number
from incdet.runtime.counted_words import counted

_MAX_CLASSES = 10
"""Number of classes in the table of a comparison."""


def evaluation_table(evaluation: Evaluation | CocoEvaluation, title: str) -> Table:
    """Returns AP, recall and number of objects of every class that has objects; mean and median are the last rows."""
    table = _table(title, "class", "AP", "recall", "objects")
    columns = (evaluation.average_precision, evaluation.recall, evaluation.num_objects)
    # a class without objects has no AP and no row
    for name, ap, recall, count in zip(evaluation.class_names, *columns, strict=True):
        if count:
            table.add_row(escape(name), shown_number(ap), shown_number(recall), str(count))
    table.add_section()
    recall = float(np.nanmean(evaluation.recall)) if evaluation.num_objects.any() else float("nan")
    total = str(int(evaluation.num_objects.sum()))
    mean, median = shown_number(evaluation.mean_average_precision), shown_number(evaluation.median_average_precision)
    table.add_row("mean (mAP)", mean, shown_number(recall), total, style="bold")
    table.add_row("median", median, "", "")
    return table


def coco_table(evaluation: CocoEvaluation) -> Table:
    """Returns COCO's twelve numbers."""
    table = _table("COCO", "number", "value")
    for name, value in evaluation.numbers.items():
        # COCO's code says -1 where there are no objects to measure, as of a size
        table.add_row(name, "-" if value == -1 else shown_number(value))
    return table


def networks_table(
    by_network: Mapping[str, Evaluation | CocoEvaluation],
    ensemble: Evaluation | CocoEvaluation,
    intervals: Mapping[str, tuple[float, float]],
) -> Table:
    """Returns mAP and pooled AP of every network by itself, of the mean member, and of the ensemble.

    Pooled AP ranks the detections of all classes in one list, so that a class with few objects moves it less.

    Args:
        by_network: Evaluation of each network by its name.
        ensemble: Evaluation of the ensemble.
        intervals: Limits of the middle 95 % of a network's mAP by its name; may lack networks.
    """
    table = _table("each network by itself", "network", "mAP", "95 %", "pooled AP")
    values = {name: _mean_and_pooled(evaluation) for name, evaluation in by_network.items()}
    for name, (mean, pooled) in values.items():
        interval = "{:.4f} .. {:.4f}".format(*intervals[name]) if name in intervals else ""
        table.add_row(escape(name), shown_number(mean), interval, shown_number(pooled))
    table.add_section()
    # rejection network, finder and namer are no members and stay out of the mean
    members = [pair for name, pair in values.items() if name.startswith("member")]
    summaries = {"mean member": np.mean(members, axis=0)} if members else {}
    summaries["the ensemble" if members else "together"] = _mean_and_pooled(ensemble)
    for name, (mean, pooled) in summaries.items():
        table.add_row(name, shown_number(mean), "", shown_number(pooled))
    return table


def _mean_and_pooled(evaluation: Evaluation | CocoEvaluation) -> tuple[float, float]:
    """Returns mAP and pooled AP; COCO's rules have no pooled AP, so it is NaN."""
    pooled = evaluation.pooled_average_precision if isinstance(evaluation, Evaluation) else float("nan")
    return evaluation.mean_average_precision, pooled


def error_table(analysis: ErrorAnalysis) -> Table:
    """Returns the error types with their cost in mAP, the most expensive first."""
    table = _table("what costs mAP (TIDE)", "error", "mAP gained", "number")
    for name, points in sorted(analysis.costs.items(), key=lambda item: -item[1]):
        table.add_row(name, shown_number(points / 100, sign="+"), f"{analysis.counts[name]:,}")
    return table


def size_table(analysis: ErrorAnalysis) -> Table:
    """Returns mAP and recall of small, medium and large objects."""
    table = _table("by object size", "objects", "mAP", "recall", "number")
    for size in analysis.sizes:
        mean, recall = shown_number(size.mean_average_precision), shown_number(size.recall)
        table.add_row(size.name, mean, recall, f"{size.num_objects:,}")
    return table


def coverage_table(coverage: Coverage, title: str) -> Table:
    """Returns the coverage of small, medium, large and all objects by proposals."""
    headings = "coverage at 0.5", "average recall", "mean best overlap", "objects"
    table = _table(title, "objects", *headings)
    # kinds overlap (an object is small and not difficult), so "all" is no sum
    for name, part in {**coverage.by_kind(), "all": coverage}.items():
        cells = ("-" if value is None else f"{value:.4f}" for value in overlap_statistics(part.best).values())
        table.add_row(name, *cells, f"{len(part.best):,}", style="bold" if name == "all" else None)
    return table


def accuracy_table(accuracy: AccuracyTable) -> Table:
    """Top-1 and top-5 accuracy of every number of networks and crops."""
    table = Table(title=counted(accuracy.num_images, "photo"))
    for heading in ("networks", "crops", "cost", "top-1", "top-5"):
        table.add_column(heading, justify="right")
    for row in accuracy.rows:
        table.add_row(str(row.networks), str(row.crops), str(row.cost), f"{row.top1:.4f}", f"{row.top5:.4f}")
    return table


def comparison_table(comparison: Comparison, names: tuple[str, str]) -> Table:
    """Returns AP of both runs in the classes that differ most, and mAP of both."""
    table = _table("the classes that differ most", "class", *names, "difference")
    differences = comparison.average_precision[1] - comparison.average_precision[0]
    # a class without objects is NaN in both runs: it is ranked last and not shown
    ranked = np.argsort(-np.nan_to_num(np.abs(differences)), kind="stable")
    for class_id in ranked[:_MAX_CLASSES]:
        if not np.isnan(differences[class_id]):
            first, second = comparison.average_precision[:, class_id]
            difference = f"{differences[class_id]:+.4f}"
            table.add_row(
                escape(comparison.class_names[class_id]), shown_number(first), shown_number(second), difference
            )
    table.add_section()
    first, second = comparison.mean_average_precision
    means = shown_number(first), shown_number(second), shown_number(second - first, sign="+")
    table.add_row("mean (mAP)", *means, style="bold")
    return table


def _table(title: str, first: str, *numbers: str) -> Table:
    """Returns an empty table: a first column of names, and columns of numbers aligned at the right."""
    table = Table(title=escape(title))
    table.add_column(first)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table
