"""Precision-recall curves, the bar chart of APs and the coverage of proposals, as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.precision_recall import envelope_at
from incdet.evaluation.recall import PROPOSAL_COUNTS, Coverage, average_recall, coverage_at
from incdet.runtime.optional_packages import is_installed, require_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NUM_LABELLED = 5
"""Number of best classes, and of worst classes, that the legend names."""

_RECALLS = np.linspace(0, 1, 201)
"""Recalls at which the curves of all classes are drawn and averaged."""


def precision_recall_plot(evaluation: Evaluation) -> bytes:
    """Draws the envelope of every class (thin), of the best and worst ones (named), and their mean (thick), as PNG.

    Raises:
        PackageError: matplotlib is not installed.
    """
    figure = empty_figure(7, 5)
    axes = figure.subplots()
    present = np.flatnonzero(evaluation.num_objects)
    curves = {}
    for class_id in present.tolist():
        precision, recall = evaluation.curve(class_id)
        curves[class_id] = envelope_at(precision, recall, _RECALLS)
    ranked = present[np.argsort(-evaluation.average_precision[present], kind="stable")].tolist()
    # the second slice starts behind the first one, so that no class is named twice
    named = ranked[:_NUM_LABELLED] + ranked[_NUM_LABELLED:][-_NUM_LABELLED:]
    for class_id, curve in curves.items():
        if class_id not in named:
            axes.plot(_RECALLS, curve, color="0.75", linewidth=0.6)
    colors = [f"C{number}" for number in range(10)]
    for color, class_id in zip(colors, named, strict=False):
        label = f"{evaluation.average_precision[class_id]:.2f} {plain_name(evaluation.class_names[class_id])}"
        axes.plot(_RECALLS, curves[class_id], color=color, linewidth=1.2, label=label)
    if curves:
        mean = np.mean(list(curves.values()), axis=0)
        label = f"mean, mAP {evaluation.mean_average_precision:.3f}"
        axes.plot(_RECALLS, mean, color="black", linewidth=2.5, label=label)
        # beside the curves, which fill the whole square
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.set(xlabel="recall", ylabel="precision (envelope)", xlim=(0, 1), ylim=(0, 1.02))
    tidy(axes)
    return png(figure)


def average_precision_plot(evaluation: Evaluation) -> bytes:
    """Draws a bar per class that has objects, the best first, with the mean as a line, as PNG.

    Raises:
        PackageError: matplotlib is not installed.
    """
    present = np.flatnonzero(evaluation.num_objects)
    ranked = present[np.argsort(-evaluation.average_precision[present], kind="stable")]
    # the height in inches grows with the number of classes, so that every name stays readable
    figure = empty_figure(7, max(1.5, 0.6 + 0.16 * len(ranked)))
    axes = figure.subplots()
    places = np.arange(len(ranked))
    axes.barh(places, evaluation.average_precision[ranked], color="C0", height=0.75)
    axes.set_yticks(places, [plain_name(evaluation.class_names[class_id]) for class_id in ranked], fontsize=7)
    if len(ranked):
        axes.axvline(evaluation.mean_average_precision, color="black", linewidth=1, linestyle="--")
    # the limits are exchanged, so that the first bar is at the top
    axes.set(
        xlabel=f"AP (mAP {evaluation.mean_average_precision:.3f})", xlim=(0, 1), ylim=(max(len(ranked), 1) - 0.5, -0.5)
    )
    tidy(axes)
    return png(figure)


def coverage_over_number_plot(coverage: Coverage) -> bytes:
    """Draws coverage at IoU 0.5 and 0.7 and average recall over the number of best proposals per image, as PNG.

    Raises:
        PackageError: matplotlib is not installed.
    """
    figure = empty_figure(7, 5)
    axes = figure.subplots()
    most = coverage.num_proposals.max(initial=1)
    # the last column of the overlaps takes all proposals
    columns = [column for column, count in enumerate(PROPOSAL_COUNTS) if count < most]
    counts = [*(PROPOSAL_COUNTS[column] for column in columns), most]
    columns.append(len(PROPOSAL_COUNTS))
    for threshold in (0.5, 0.7):
        curve = [coverage_at(coverage.overlaps[:, column], threshold) for column in columns]
        axes.plot(counts, curve, marker=".", label=f"coverage at IoU {threshold}")
    curve = [average_recall(coverage.overlaps[:, column]) for column in columns]
    axes.plot(counts, curve, marker=".", color="black", label="average recall 0.5 to 1")
    axes.set(xscale="log", xlabel="proposals per image, best first", ylabel="share of objects", ylim=(0, 1.02))
    axes.legend(fontsize=8, loc="upper left")
    tidy(axes)
    return png(figure)


def coverage_comparison_plot(curves: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Draws coverage at IoU 0.5 over the number of best proposals per image, of several runs, as PNG.

    Args:
        curves: The content of `Coverage.to_json()` by the name of the run.

    Raises:
        PackageError: matplotlib is not installed.
    """
    figure = empty_figure(7, 5)
    axes = figure.subplots()
    for name, numbers in curves.items():
        mean = numbers["proposals_per_image"]
        # beyond the mean number a curve would show only the images with more proposals
        points = [point for point in numbers["by_number"] if point["proposals"] < mean]
        counts = [point["proposals"] for point in points] + [mean]
        coverages = [point["coverage"] for point in points] + [numbers["coverage"]]
        label = f"{plain_name(name)}: {numbers['coverage']:.3f} with {mean:.0f}"
        axes.plot(counts, coverages, marker=".", label=label)
    axes.set(
        xscale="log",
        xlabel="proposals per image, best first",
        ylabel="share of objects, IoU 0.5 or more",
        ylim=(0, 1.02),
    )
    axes.legend(fontsize=8, loc="upper left")
    tidy(axes)
    return png(figure)


def coverage_over_overlap_plot(coverage: Coverage) -> bytes:
    """Draws the coverage of all proposals over the IoU threshold, of all objects and by their size, as PNG.

    Raises:
        PackageError: matplotlib is not installed.
    """
    figure = empty_figure(7, 5)
    axes = figure.subplots()
    thresholds = np.linspace(0, 1, 101)
    for name, part in coverage.by_kind().items():
        if len(part.best):
            curve = [coverage_at(part.best, threshold) for threshold in thresholds]
            axes.plot(thresholds, curve, linewidth=1.2, label=f"{name} ({len(part.best)})")
    curve = [coverage_at(coverage.best, threshold) for threshold in thresholds]
    axes.plot(thresholds, curve, color="black", linewidth=2.5, label=f"all objects ({len(coverage.best)})")
    axes.set(xlabel="IoU", ylabel="share of objects covered", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize=8, loc="lower left")
    tidy(axes)
    return png(figure)


def missing_plots() -> str | None:
    """Returns the sentence that replaces the plots where matplotlib is missing; None where it is installed."""
    if is_installed("matplotlib"):
        return None
    return "there are no plots, because they need matplotlib, which is not installed; run: pip install 'incdet[eval]'"


def empty_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches; matplotlib is loaded for the first one.

    Raises:
        PackageError: matplotlib is not installed.
    """
    require_package("matplotlib", "plots", "eval")
    from matplotlib.figure import Figure

    # a figure made without pyplot belongs to no window and no global state
    return Figure(figsize=(width, height), layout="constrained")


def plain_name(name: str) -> str:
    """Returns a name that matplotlib shows as it is; it reads text between dollar signs as a formula."""
    return name.replace("$", r"\$")


def tidy(axes: Axes) -> None:
    """Adds a faint grid and removes the frame above and to the right."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: Figure) -> bytes:
    """Returns the figure as the content of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    return stream.getvalue()
