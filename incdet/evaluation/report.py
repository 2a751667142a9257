"""The evaluation as tables for the terminal."""

from collections.abc import Mapping

import numpy as np
from rich.markup import escape
from rich.table import Table

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.coco_rules import CocoEvaluation
from incdet.evaluation.comparison import Comparison
from incdet.evaluation.error_analysis import ErrorAnalysis
from incdet.evaluation.recall import Coverage, numbers

_SHOWN_CLASSES = 10


def evaluation_table(evaluation: Evaluation | CocoEvaluation, title: str) -> Table:
    """AP, recall and number of objects of every class that has any; the mean and the median last."""
    table = _table(title, "class", "AP", "recall", "objects")
    columns = (evaluation.average_precision, evaluation.recall, evaluation.num_objects)
    for name, ap, recall, count in zip(evaluation.class_names, *columns, strict=True):
        if count:
            table.add_row(escape(name), f"{ap:.4f}", f"{recall:.4f}", str(count))
    table.add_section()
    recall = float(np.nanmean(evaluation.recall)) if evaluation.num_objects.any() else float("nan")
    total = str(int(evaluation.num_objects.sum()))
    table.add_row("mean (mAP)", f"{evaluation.mean_average_precision:.4f}", f"{recall:.4f}", total, style="bold")
    table.add_row("median", f"{evaluation.median_average_precision:.4f}", "", "")
    return table


def coco_table(evaluation: CocoEvaluation) -> Table:
    """COCO's twelve numbers."""
    table = _table("COCO", "number", "value")
    for name, value in evaluation.numbers.items():
        table.add_row(name, f"{value:.4f}")
    return table


def networks_table(
    by_network: Mapping[str, Evaluation | CocoEvaluation],
    ensemble: Evaluation | CocoEvaluation,
    intervals: Mapping[str, tuple[float, float]],
) -> Table:
    """mAP of every network by itself, with its interval where there is one, of the mean member, and of the ensemble;
    beside it the AP of all classes' detections in one list, which few objects of a class move less.
    """
    table = _table("each network by itself", "network", "mAP", "95 %", "pooled AP")
    values = {name: _mean_and_pooled(judged) for name, judged in by_network.items()}
    for name, (mean, pooled) in values.items():
        interval = "{:.4f} .. {:.4f}".format(*intervals[name]) if name in intervals else ""
        table.add_row(escape(name), f"{mean:.4f}", interval, f"{pooled:.4f}")
    table.add_section()
    members = [pair for name, pair in values.items() if name.startswith("member")]
    for name, (mean, pooled) in {
        "mean member": np.mean(members, axis=0),
        "the ensemble": _mean_and_pooled(ensemble),
    }.items():
        table.add_row(name, f"{mean:.4f}", "", f"{pooled:.4f}")
    return table


def _mean_and_pooled(judged: Evaluation | CocoEvaluation) -> tuple[float, float]:
    """(mAP, pooled AP, which COCO's rules do not have)."""
    pooled = judged.pooled_average_precision if isinstance(judged, Evaluation) else float("nan")
    return judged.mean_average_precision, pooled


def error_table(analysis: ErrorAnalysis) -> Table:
    """What costs mAP, the most expensive first."""
    table = _table("what costs mAP (TIDE)", "error", "mAP points", "number")
    for name, points in sorted(analysis.costs.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{points:.2f}", f"{analysis.counts[name]:,}")
    return table


def size_table(analysis: ErrorAnalysis) -> Table:
    """How well small, medium and large objects are found."""
    table = _table("by object size", "objects", "mAP", "recall", "number")
    for size in analysis.sizes:
        table.add_row(size.name, f"{size.mean_average_precision:.4f}", f"{size.recall:.4f}", f"{size.num_objects:,}")
    return table


def coverage_table(coverage: Coverage, title: str) -> Table:
    """How well proposals cover small, medium, large and all objects."""
    headings = "coverage at 0.5", "average recall", "mean best overlap", "objects"
    table = _table(title, "objects", *headings)
    for name, part in {**coverage.by_kind(), "all": coverage}.items():
        cells = ("-" if value is None else f"{value:.4f}" for value in numbers(part.best).values())
        table.add_row(name, *cells, f"{len(part.best):,}", style="bold" if name == "all" else None)
    return table


def comparison_table(comparison: Comparison, names: tuple[str, str]) -> Table:
    """AP of both runs in the classes in which they differ most, and mAP."""
    table = _table("the classes that differ most", "class", *names, "difference")
    differences = comparison.average_precision[1] - comparison.average_precision[0]
    ranked = np.argsort(-np.nan_to_num(np.abs(differences)), kind="stable")
    for class_id in ranked[:_SHOWN_CLASSES]:
        if not np.isnan(differences[class_id]):
            first, second = comparison.average_precision[:, class_id]
            difference = f"{differences[class_id]:+.4f}"
            table.add_row(escape(comparison.class_names[class_id]), f"{first:.4f}", f"{second:.4f}", difference)
    table.add_section()
    first, second = comparison.mean_average_precision
    table.add_row("mean (mAP)", f"{first:.4f}", f"{second:.4f}", f"{second - first:+.4f}", style="bold")
    return table


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=escape(title))
    table.add_column(first)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table
