"""Exported networks compute what torch computes, and a program without torch detects with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
