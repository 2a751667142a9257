"""benchmarks/benchmark.py training, run as users do."""

import json

import pytest
from running_tools import run_tool

pytestmark = pytest.mark.slow


def test_trainings_are_measured_side_by_side(small_voc, tmp_path):
    options = ["--split", "val", "--limit", 2, "--runs", 1, "--set", "optimization.batch_size=1", "--json", "out.json"]
    result = run_tool("benchmarks/benchmark.py", "training", small_voc, *options, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["regions_per_step"] for row in rows] == [1, 48, 128, 48]
    for row in rows:
        assert row["regions_per_second"] == pytest.approx(row["regions_per_step"] / row["seconds_per_step"])
