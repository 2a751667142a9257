"""Exported networks compute what torch computes, and a program without torch detects with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

ROOT = Path(__file__).parents[2]

EXAMPLE = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
import detect_with_onnx
for label, probability, box in detect_with_onnx.detect(Path({folder!r}), {photo!r}):
    print(label, probability, *box)
assert "torch" not in sys.modules
"""


@pytest.mark.slow
def test_shared_features_and_multibox_are_exported(incdet, tmp_path):
    code, _, err = incdet("export", "--output", "exported")
    assert code == 0, err
    manifest = json.loads((tmp_path / "exported" / "manifest.json").read_text())
    files = {entry["file"]: entry for entry in manifest["networks"]}
    assert list(files) == [
        "googlenet-voc-shared.photo_features.onnx",
        "googlenet-voc-shared.region_head.onnx",
        "multibox-voc.multibox.onnx",
    ]
    assert all(entry["difference_from_torch"] < 1e-3 for entry in files.values())
    head = files["googlenet-voc-shared.region_head.onnx"]
    assert head["classes"][7] == "cat"
    assert set(head["outputs"]) == {"probabilities", "box_deltas"}
    assert "preprocessing" not in head
    assert files["multibox-voc.multibox.onnx"]["preprocessing"]["mean"]


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
@pytest.mark.slow
def test_torchscript_computes_the_same_for_any_number_and_size(incdet, tmp_path):
    code, _, err = incdet("export", "--format", "torchscript", "--output", "exported")
    assert code == 0, err
    manifest = json.loads((tmp_path / "exported" / "manifest.json").read_text())
    files = {entry["file"].split(".")[1]: entry for entry in manifest["networks"]}
    assert list(files) == ["photo_features", "region_head", "multibox"]
    assert all(entry["difference_from_torch"] < 1e-3 for entry in files.values())
    load = {name: torch.jit.load(str(tmp_path / "exported" / entry["file"])) for name, entry in files.items()}
    maps = load["photo_features"](torch.zeros(1, 3, 99, 210))[0]
    assert maps.shape == (1, 832, 6, 13)
    probabilities, deltas = load["region_head"](torch.zeros(5, 832, 7, 7))
    assert (probabilities.shape, deltas.shape) == ((5, 21), (5, 4))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(5))


def test_weights_that_cannot_be_exported_leave_no_files(incdet, tmp_path):
    code, _, err = incdet("export", "--weights", "googlenet-voc", "--weights", "googlenet-voc", "--output", "exported")
    assert (code, "give each weights once" in err) == (2, True)
    weights = ("--weights", "googlenet-voc-shared", "--weights", "multibox-voc-shared")
    code, _, err = incdet("export", *weights, "--output", "exported")
    assert code != 0
    assert "feature maps that others share" in err
    assert not list((tmp_path / "exported").glob("*"))


@pytest.mark.slow
def test_the_example_finds_the_cat_without_torch(incdet, tmp_path, chelsea_file):
    code, _, err = incdet("export", "--weights", "googlenet-voc", "--output", "exported")
    assert code == 0, err
    assert "regions.onnx: differs from torch by" in err
    program = EXAMPLE.format(
        path=[str(ROOT / "docs"), *sys.path], folder=str(tmp_path / "exported"), photo=str(chelsea_file)
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    label, probability, *box = result.stdout.splitlines()[0].split()
    assert label == "cat"
    assert float(probability) > 0.55
    x1, y1, x2, y2 = map(float, box)
    assert (x2 - x1) * (y2 - y1) > 0.6 * 451 * 300


def test_networks_of_openvino_agree_too(tmp_path):
    pytest.importorskip("openvino")
    from incdet.networks.exporters.export_folder import export_files
    from incdet.networks.shipped_weights import find_weights

    (result,) = export_files([find_weights("multibox-voc")], tmp_path, "openvino", box_deltas=True)
    assert result.difference < 1e-3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["manifest.json", "multibox.bin", "multibox.xml"]
