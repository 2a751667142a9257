"""benchmarks/region_pooling_benchmark.py, run as users do."""

import json

import pytest
from running_tools import run_tool

pytestmark = pytest.mark.slow


def test_pooling_is_measured_beside_torchvision_and_stage_5(chelsea_file, tmp_path):
    options = ["--photo-side", 128, "--regions", 5, "--threads", 1, "--runs", 1, "--json", "out.json"]
    result = run_tool("benchmarks/region_pooling_benchmark.py", chelsea_file, *options, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(rows) == 2 * 5
    for precision in ("float32", "bfloat16"):
        seconds = {row["what"]: row["seconds"] for row in rows if row["precision"] == precision}
        assert {"stage 5", "incdet", "torchvision"} < seconds.keys()
        for row in rows:
            if row["precision"] == precision:
                assert row["ratio_to_stage_5"] == pytest.approx(row["seconds"] / seconds["stage 5"])
    assert "5 regions" in result.stderr
