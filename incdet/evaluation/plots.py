"""Precision-recall curves, the bar chart of APs and the coverage of proposals, as PNG."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.recall import NUMBERS, Coverage, average_recall, coverage_at

_LABELLED = 5
_RECALLS = np.linspace(0, 1, 201)


def precision_recall_plot(evaluation: Evaluation) -> bytes:
    """The envelope of every class (thin), of the best and worst ones (named), and their mean (thick), as PNG."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    present = np.flatnonzero(evaluation.num_objects)
    curves = {int(class_id): envelope(*evaluation.curve(int(class_id)), _RECALLS) for class_id in present}
    ranked = present[np.argsort(-evaluation.average_precision[present], kind="stable")].tolist()
    named = ranked[:_LABELLED] + ranked[_LABELLED:][-_LABELLED:]
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
        axes.legend(fontsize=8, loc="upper right")
    axes.set(xlabel="recall", ylabel="precision (envelope)", xlim=(0, 1), ylim=(0, 1.02))
    tidy(axes)
    return png(figure)


def average_precision_plot(evaluation: Evaluation) -> bytes:
    """A bar per class that has objects, the best first, with the mean as a line, as PNG."""
    present = np.flatnonzero(evaluation.num_objects)
    ranked = present[np.argsort(-evaluation.average_precision[present], kind="stable")]
    figure = Figure(figsize=(7, max(1.5, 0.6 + 0.16 * len(ranked))), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(ranked))
    axes.barh(places, evaluation.average_precision[ranked], color="C0", height=0.75)
    axes.set_yticks(places, [plain_name(evaluation.class_names[class_id]) for class_id in ranked], fontsize=7)
    if len(ranked):
        axes.axvline(evaluation.mean_average_precision, color="black", linewidth=1, linestyle="--")
    axes.set(
        xlabel=f"AP (mAP {evaluation.mean_average_precision:.3f})", xlim=(0, 1), ylim=(max(len(ranked), 1) - 0.5, -0.5)
    )
    tidy(axes)
    return png(figure)


def coverage_over_number_plot(coverage: Coverage) -> bytes:
    """Coverage at IoU 0.5 and 0.7 and average recall against the number of an image's best proposals, as PNG."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    most = coverage.num_proposals.max(initial=1)
    columns = [column for column, number in enumerate(NUMBERS) if number < most] + [len(NUMBERS)]
    numbers = [*(NUMBERS[column] for column in columns[:-1]), most]
    for threshold in (0.5, 0.7):
        curve = [coverage_at(coverage.overlaps[:, column], threshold) for column in columns]
        axes.plot(numbers, curve, marker=".", label=f"coverage at IoU {threshold}")
    curve = [average_recall(coverage.overlaps[:, column]) for column in columns]
    axes.plot(numbers, curve, marker=".", color="black", label="average recall 0.5 to 1")
    axes.set(xscale="log", xlabel="proposals per image, best first", ylabel="share of objects", ylim=(0, 1.02))
    axes.legend(fontsize=8, loc="upper left")
    tidy(axes)
    return png(figure)


def coverage_comparison_plot(curves: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Coverage at IoU 0.5 against the number of an image's best proposals, of several runs, as PNG.

    Args:
        curves: name of a run -> `Coverage.to_json()`.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for name, numbers in curves.items():
        points = [(point["proposals"], point["coverage"]) for point in numbers["by_number"]]
        mean = numbers["proposals_per_image"]
        points = [point for point in points if point[0] < mean] + [(mean, numbers["coverage"])]
        label = f"{plain_name(name)}: {numbers['coverage']:.3f} with {mean:.0f}"
        axes.plot(*zip(*points, strict=True), marker=".", label=label)
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
    """Coverage against the IoU that is asked for, of all proposals and by the objects' size, as PNG."""
    figure = Figure(figsize=(7, 5), layout="constrained")
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


def envelope(precision: np.ndarray, recall: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """The best precision at each of these recalls or beyond; 0 where the recall is never reached.

    >>> envelope(np.array([1.0, 0.5, 2 / 3]), np.array([0.5, 0.5, 1.0]), np.array([0.2, 0.8])).round(3).tolist()
    [1.0, 0.667]
    """
    monotone = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return monotone[np.searchsorted(recall, recalls - 1e-9)]


def plain_name(name: str) -> str:
    """A class name as it is: matplotlib would read what stands between dollar signs as a formula."""
    return name.replace("$", r"\$")


def tidy(axes: Axes) -> None:
    """A faint grid, and no frame above and to the right."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: Figure) -> bytes:
    """The picture as a file's content."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    return stream.getvalue()
