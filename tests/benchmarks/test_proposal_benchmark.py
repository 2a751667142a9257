"""benchmarks/benchmark.py proposals and proposal-scaling, run as users do."""

import json

import pytest
from command_line import one_sentence
from running_tools import run_tool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def benchmark(small_voc, tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    few = "--limit", 1, "--runs", 1, "--set", "strategies=single", "--json", "out.json"
    result = run_tool("benchmarks/benchmark.py", "proposals", small_voc / "JPEGImages", *few, folder=folder)
    assert result.returncode == 0, result.stderr
    return json.loads((folder / "out.json").read_text())


def test_the_benchmark_measures_both_engines(benchmark):
    for name in ("incdet", "incdet_two_threads", "opencv"):
        assert benchmark[name]["seconds"] > 0
        assert benchmark[name]["boxes"] > 20
        assert benchmark[name]["coverage"] == 1
    assert benchmark["incdet"]["boxes"] == benchmark["incdet_two_threads"]["boxes"]
    ratio = benchmark["opencv"]["seconds"] / benchmark["incdet"]["seconds"]
    assert benchmark["ratio_to_opencv"] == pytest.approx(ratio)
    superpixels = [part["superpixels"] for part in benchmark["segmentation"].values()]
    assert superpixels[0] == pytest.approx(superpixels[1], rel=0.1)


def test_the_benchmark_tells_what_compiling_costs(benchmark):
    assert benchmark["first_process_seconds"] > benchmark["second_process_seconds"] > 0


def test_the_benchmark_of_growing_frames(chelsea_file, tmp_path):
    sizes = "--megapixels", 0.04, "--megapixels", 0.01
    result = run_tool(
        "benchmarks/benchmark.py", "proposal-scaling", chelsea_file, *sizes, "--json", "out.json", folder=tmp_path
    )
    assert result.returncode == 0, result.stderr
    small, large = json.loads((tmp_path / "out.json").read_text())
    assert (small["megapixels"], large["megapixels"]) == (0.01, 0.04)
    assert 0 < small["superpixels"] < large["superpixels"]
    assert small["seconds_per_megapixel"] == pytest.approx(100 * small["seconds"])


def test_a_benchmark_without_photos_is_one_sentence(tmp_path):
    result = run_tool("benchmarks/benchmark.py", "proposals", tmp_path, folder=tmp_path)
    assert result.returncode == 1
    one_sentence(result.stderr)
