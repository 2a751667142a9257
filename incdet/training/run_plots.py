"""Plots of trainings: the curves that they logged, as PNG."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from incdet.evaluation.plots import empty_figure, plain_name, png, tidy

COLUMNS = 4
"""Largest number of panels beside each other."""

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Name of a number -> (step, value)."""


def training_plot(runs: Mapping[str, Curves]) -> bytes:
    """Draws a panel for every number that any of the runs logged, with a curve for every run that did.

    Args:
        runs: name of a run -> its curves.

    Returns:
        The bytes of a PNG file.
    """
    # every name once, in the order of the first run that logged it
    names = list(dict.fromkeys(name for curves in runs.values() for name in curves))
    columns = min(max(len(names), 1), COLUMNS)
    rows = math.ceil(max(len(names), 1) / columns)
    figure = empty_figure(3.6 * columns, 3.2 * rows)
    panels = np.ravel(figure.subplots(rows, columns))  # a single panel is no array
    for unused in panels[len(names) :]:
        unused.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        for color, (run, curves) in enumerate(runs.items()):
            if name in curves:
                # single validations are points, and lines between them
                marker = "o" if len(curves[name]) < 20 else None
                steps = [step for step, _ in curves[name]]
                values = [value for _, value in curves[name]]
                axes.plot(steps, values, color=f"C{color}", marker=marker, markersize=4, label=plain_name(run))
        axes.set(title=plain_name(name.replace("_", " ")), xlabel="step")
        tidy(axes)
        if len(runs) > 1:
            axes.legend(fontsize=7)
    return png(figure)
