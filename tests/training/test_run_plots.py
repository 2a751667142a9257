"""Plots of trainings."""

import io
import shutil

import PIL.Image
import pytest
from running_tools import run_tool

from incdet.training.run_log import read_curves
from incdet.training.run_plots import training_plot


def test_every_number_has_a_panel(uninterrupted):
    curves = read_curves(uninterrupted)
    assert PIL.Image.open(io.BytesIO(training_plot({"first": curves, "second": curves}))).size == (1404, 416)


@pytest.mark.slow
def test_curves_of_runs_are_drawn(uninterrupted, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(uninterrupted, tmp_path / name)
    drawn = run_tool("plot_training.py", "first", "second", "--output", "curves.png", folder=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert PIL.Image.open(tmp_path / "curves.png").size == (1404, 416)
