"""Exported networks compute what torch computes, and a program without torch detects with them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from incdet.config.sections import MultiBoxConfig, ScoresConfig
from incdet.images import read_image
from incdet.networks.photo_levels import photo_input
from incdet.networks.record_files import load_record
from incdet.networks.shipped_weights import find_weights
from incdet.ops.boxes import box_iou
from incdet.proposers.shared_multibox_proposer import SharedMultiBoxProposer, select_best

pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

ROOT = Path(__file__).parents[2]

EXAMPLE = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
import detect_with_onnx
detect_with_onnx.NUM_PROPOSALS = 48
for label, probability, box in detect_with_onnx.detect(Path({folder!r}), {photo!r}):
    print(label, probability, *box)
assert "torch" not in sys.modules
"""


@pytest.mark.slow
def test_shared_features_and_multibox_are_exported(incdet, tmp_path, chelsea_file):
    code, _, err = incdet("export", "--output", "exported")
    assert code == 0, err
    manifest = json.loads((tmp_path / "exported" / "manifest.json").read_text())
    files = {entry["file"]: entry for entry in manifest["networks"]}
    assert list(files) == [
        "googlenet-voc-shared.photo_features.onnx",
        "googlenet-voc-shared.region_head.onnx",
        "multibox-voc-shared.shared_multibox.onnx",
    ]
    assert all(entry["difference_from_torch"] < 1e-3 for entry in files.values())
    head = files["googlenet-voc-shared.region_head.onnx"]
    assert head["classes"][7] == "cat"
    assert set(head["outputs"]) == {"probabilities", "box_deltas"}
    assert "preprocessing" not in head
    assert "colors" not in head["input"]
    multibox = files["multibox-voc-shared.shared_multibox.onnx"]
    assert multibox["feature_maps"] == {"weights": "googlenet-voc-shared", "photo_sides": [384, 512, 800]}
    _assert_proposals_agree(tmp_path / "exported", multibox, chelsea_file)
    code, _, err = incdet("export", "--weights", "multibox-voc", "--output", "crops")
    assert code == 0, err
    (crops,) = json.loads((tmp_path / "crops" / "manifest.json").read_text())["networks"]
    assert crops["preprocessing"]["mean"]


def _assert_proposals_agree(folder, multibox, photo):
    """The exported networks, one behind the other, propose the boxes that the detector's MultiBox proposes."""
    import onnxruntime

    image, config = read_image(photo), MultiBoxConfig(limit=50)
    proposer = SharedMultiBoxProposer(config, torch.device("cpu"), scores=ScoresConfig(precision="float32"))
    preprocessing = load_record(find_weights("googlenet-voc-shared")).preprocessing
    features = onnxruntime.InferenceSession(str(folder / "googlenet-voc-shared.photo_features.onnx"))
    proposing = onnxruntime.InferenceSession(str(folder / multibox["file"]))
    all_boxes, all_scores = [], []
    for photo_side in multibox["feature_maps"]["photo_sides"]:
        pixels, scale = photo_input(image, preprocessing, photo_side)
        (feature_maps,) = features.run(None, {"photo": pixels.numpy()})
        boxes, scores = proposing.run(None, {"feature_maps": feature_maps})
        best = np.argsort(-scores[0], kind="stable")[:2000]
        all_boxes.append(boxes[0, best] / np.tile(scale, 2))
        all_scores.append(scores[0, best])
    found = select_best(image, np.concatenate(all_boxes), np.concatenate(all_scores), config)
    expected = proposer(image)
    assert (box_iou(expected.boxes[:10], found.boxes).max(axis=1) > 0.99).all()
    assert found.scores[:10] == pytest.approx(expected.scores[:10], abs=1e-3)


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
@pytest.mark.slow
def test_torchscript_computes_the_same_for_any_number_and_size(incdet, tmp_path):
    code, _, err = incdet("export", "--format", "torchscript", "--output", "exported")
    assert code == 0, err
    manifest = json.loads((tmp_path / "exported" / "manifest.json").read_text())
    files = {entry["file"].split(".")[1]: entry for entry in manifest["networks"]}
    assert list(files) == ["photo_features", "region_head", "shared_multibox"]
    assert all(entry["difference_from_torch"] < 1e-3 for entry in files.values())
    load = {name: torch.jit.load(str(tmp_path / "exported" / entry["file"])) for name, entry in files.items()}
    maps = load["photo_features"](torch.zeros(1, 3, 99, 210))[0]
    assert maps.shape == (1, 832, 6, 13)
    boxes, scores = load["shared_multibox"](maps)
    # 13 x 6, 7 x 3 and 4 x 2 cells with two sides in five shapes, 2 x 1 cells with three
    assert (boxes.shape, scores.shape) == ((1, 1100, 4), (1, 1100))
    probabilities, deltas = load["region_head"](torch.zeros(5, 832, 7, 7))
    assert (probabilities.shape, deltas.shape) == ((5, 21), (5, 4))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(5))


def test_weights_that_cannot_be_exported_leave_no_files(incdet, tmp_path):
    code, _, err = incdet("export", "--weights", "googlenet-voc", "--weights", "googlenet-voc", "--output", "exported")
    assert (code, "give each weights once" in err) == (2, True)
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

    results = export_files(
        [find_weights("multibox-voc"), find_weights("multibox-voc-shared")], tmp_path, "openvino", box_deltas=True
    )
    assert all(result.difference < 1e-3 for result in results)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "manifest.json",
        "multibox-voc-shared.shared_multibox.bin",
        "multibox-voc-shared.shared_multibox.xml",
        "multibox-voc.multibox.bin",
        "multibox-voc.multibox.xml",
    ]
