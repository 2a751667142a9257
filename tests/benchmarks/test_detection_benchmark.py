"""benchmarks/benchmark.py detect and folder, and incdet weights calibrate, run as users do."""

import json

import numpy as np
import PIL.Image
import pytest
from running_tools import run_tool

from incdet.networks.calibration import best_range
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import activation_ranges_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three photos of one colour, in which MultiBox proposes all the same."""
    folder = tmp_path_factory.mktemp("plain")
    for grey in (60, 120, 200):
        PIL.Image.fromarray(np.full((90, 120, 3), grey, np.uint8)).save(folder / f"{grey}.png")
    return folder


FEW = ("--set", "device=cpu", "--set", "proposals.limit=3", "--set", "proposals.multibox.photo_sides=[128]")
# one network
MORE = (
    "--set",
    "scores.features=shared",
    "--set",
    "proposals.limit=24",
    "--set",
    "proposals.multibox.photo_sides=[128]",
    "--set",
    "scores.photo_sides=[512]",
)


def test_detection_is_measured_stage_by_stage(photos, tmp_path):
    options = ["--limit", 1, "--runs", 1, "--no-peers", *FEW, "--json", "out.json"]
    result = run_tool("benchmarks/benchmark.py", "detect", photos, *options, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    numbers = json.loads((tmp_path / "out.json").read_text())
    one, six = (numbers["contenders"][f"{name}, torch"] for name in ("one network", "six networks"))
    for row in (one, six):
        assert list(row["seconds"]) == ["read", "proposals", "regions", "scores", "detections"]
        assert sum(row["seconds"].values()) == pytest.approx(row["seconds_per_photo"])
        assert row["regions"] == 3
        assert row["regions_per_second"] > 0
        assert 0 < row["crops_share"] < 1
        assert row["peak_gigabytes"] > 0.1
    assert one["share_of_matrix_rate"] > 0
    classifying = [row["seconds"]["regions"] + row["seconds"]["scores"] for row in (one, six)]
    assert numbers["six_to_one_ratio"]["torch"] == pytest.approx(classifying[1] / classifying[0])
    assert numbers["cold_start_seconds"]["torch"] > one["seconds_per_photo"]


def test_a_folder_is_watched(photos, tmp_path):
    result = run_tool(
        "benchmarks/benchmark.py", "folder", photos, "--workers", 0, *MORE, "--json", "out.json", folder=tmp_path
    )
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert (row["workers"], row["photos"]) == (0, 3)
    assert row["photos_per_second"] > 0
    assert 0 < row["peak_gigabytes_first_quarter"] <= row["peak_gigabytes_last_quarter"] * 2
    assert 0 < row["cores_used"] <= row["cores"] + 0.5


def test_a_setting_that_a_contender_cannot_take_is_one_sentence(photos, tmp_path):
    options = ["--limit", 1, "--runs", 1, "--no-peers", *FEW, "--set", "scores.precision=int8"]
    result = run_tool("benchmarks/benchmark.py", "detect", photos, *options, folder=tmp_path)
    assert result.returncode == 2
    assert "precision 'int8' is for regions computed by OpenVINO" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_folder_with_a_broken_photo_is_not_measured(photos, tmp_path):
    for photo in photos.iterdir():
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"no photo")
    result = run_tool("benchmarks/benchmark.py", "folder", tmp_path, "--workers", 0, *MORE, folder=tmp_path)
    assert result.returncode == 2
    assert "3 of 4 photos done" in " ".join(result.stderr.split())
    assert "broken.png" in result.stderr


@pytest.mark.parametrize("name", ["googlenet-voc", "googlenet-voc-shared"])
def test_ranges_are_written_beside_the_weights(small_voc, tmp_path, name):
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(find_weights(name).read_bytes())
    options = ["--root", small_voc, "--split", "val", "--photos", 1, "--regions", 2]
    result = run_tool("calibrate_int8.py", weights, *options, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    written = json.loads(activation_ranges_file(weights).read_text())
    shipped = json.loads(activation_ranges_file(find_weights(name)).read_text())
    assert written["tensors"] == shipped["tensors"]
    assert written["activation_ranges"].keys() == shipped["activation_ranges"].keys()
    for layer, value in written["activation_ranges"].items():
        assert 0.1 < value / shipped["activation_ranges"][layer] < 4, layer


def test_the_best_range_has_the_least_error():
    """Against trying all of them on the values themselves."""
    values = np.abs(np.append(np.random.default_rng(0).normal(size=2_000_000), 10.0))
    largest = float(values.max())
    counts = np.histogram(values, 256, (0, largest))[0]

    def error(end):
        step = end / 255
        return np.square(np.minimum(np.round(values / step), 255) * step - values).sum()

    errors = [error(end) for end in np.arange(8, 257, 8) / 256 * largest]
    assert error(best_range(counts, largest)) < 1.05 * min(errors)
    assert error(best_range(counts, largest)) < 0.5 * error(largest)
