"""Settings of a detector with shared features, compared on stored region scores."""

import json

import numpy as np
import pytest
from running_tools import run_tool
from shared_scores import SharedScores, SharedSettings, mirror_image

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.errors import WeightsError
from incdet.images import read_image
from incdet.ops.boxes import flip_boxes
from incdet.structures import Proposals

pytestmark = pytest.mark.slow

TORCH = ["scores.engine=torch", "scores.precision=float32", "device=cpu", "scores.photo_sides=[128,192,256]"]
FEW = ["proposals.limit=12", "proposals.methods=[selective_search]", "scores.engine=torch"]


@pytest.fixture(scope="module")
def cat(chelsea_file):
    """(photo, boxes around a cat and elsewhere)."""
    image = read_image(chelsea_file)
    boxes = np.array([[0, 0, 400, 300], [40, 20, 380, 290], [200, 30, 451, 250], [20, 200, 90, 260]], np.float32)
    return image, Proposals(boxes, np.linspace(1, 0, 4, dtype=np.float32), np.full(4, "moved"))


@pytest.fixture
def scores(tmp_path):
    return SharedScores("googlenet-voc-shared", tmp_path)


def settings_of(*changes):
    return load_config(SharedSettings, None, [*TORCH, *changes])


def test_the_base_is_the_detector(scores, cat):
    alone = load_config(Config, None, [*TORCH, "scores.features=shared"])
    expected = Detector.from_pretrained(config=alone).score(*cat)
    found = scores(settings_of(), *cat)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert found.boxes == pytest.approx(expected.boxes, abs=1e-4)
    assert found.probabilities.max() > 0.5


def test_every_setting_has_an_effect(scores, cat):
    base = scores(settings_of(), *cat)
    changes = (
        "scores.photo_sides=[160]",
        "region_side=700",
        "scores.rounds=1",
        "scores.rounds=3",
        "scores.region_iou=1",
        "mirrored=true",
    )
    for change in changes:
        assert np.abs(scores(settings_of(change), *cat).probabilities - base.probabilities).max() > 1e-4, change


def test_the_mean_of_a_photo_and_its_mirror_image_is_symmetric(scores, cat):
    image, proposals = cat
    mirrored = Proposals(flip_boxes(proposals.boxes, image.width), proposals.scores, proposals.sources)
    settings = settings_of("mirrored=true")
    one, other = scores(settings, image, proposals), scores(settings, mirror_image(image), mirrored)
    assert other.probabilities == pytest.approx(one.probabilities, abs=1e-5)
    assert flip_boxes(other.boxes, image.width) == pytest.approx(one.boxes, abs=1e-2)
    # neither side alone is
    alone = scores(settings_of(), image, proposals), scores(settings_of(), mirror_image(image), mirrored)
    assert np.abs(alone[0].probabilities - alone[1].probabilities).max() > 1e-3


def test_without_box_deltas_regions_stay_and_are_seen_once(scores, cat):
    once = scores(settings_of("scores.rounds=1"), *cat)
    still = scores(settings_of("scores.box_deltas=false"), *cat)
    assert np.array_equal(still.boxes, cat[1].boxes)
    assert np.array_equal(still.probabilities, once.probabilities)
    assert np.abs(once.boxes - still.boxes).max() > 5


def test_scores_are_computed_once_for_what_decides_them(scores, cat, tmp_path, monkeypatch):
    first = scores(settings_of(), *cat)
    with monkeypatch.context() as patch:
        patch.setattr("shared_scores.SharedRegionScorer.__call__", None)
        for change in ("detections.iou_threshold=0.5", "detections.voting_iou=null", "region_side=128"):
            assert np.array_equal(scores(settings_of(change), *cat).probabilities, first.probabilities)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    scores(settings_of("mirrored=true"), *cat)
    scores(settings_of("region_side=96"), *cat)
    assert len(list(tmp_path.rglob("*.npz"))) == 3


def test_weights_for_crops_are_one_sentence(tmp_path):
    with pytest.raises(WeightsError, match="trained on crops"):
        SharedScores("googlenet-voc", tmp_path)


def test_the_tool_compares_variants_and_goes_on_where_it_stopped(small_voc, tmp_path):
    variants = ["scores.photo_sides=[384,512,800]", "scores.photo_sides=[128]", "detections.score_threshold=1"]
    options = ["--root", small_voc, "--split", "val", "--samples", 50, "--json", "numbers.json", "--quiet"]
    for setting in FEW:
        options += ["--set", setting]
    for variant in variants:
        options += ["--variant", variant]
    result = run_tool("experiments/compare_shared_settings.py", *options, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "numbers.json").read_text())["rows"]
    assert [row["settings"] for row in rows] == ["base", *variants]
    # the first variant says what the weights say
    assert rows[1] == rows[0] | {"settings": variants[0]}
    assert rows[1]["difference"] == rows[1]["standard error"] == rows[1]["pooled standard error"] == 0
    # nothing is that sure, so nothing is found
    assert rows[0]["mAP"] > 0.4
    assert rows[3]["difference"] == -rows[0]["mAP"]
    assert rows[3]["pooled difference"] == -rows[0]["pooled AP"]
    same = ["--dataset", "voc", "--root", small_voc, "--split", "val", "--json", "map.json"]
    for setting in FEW:
        same += ["--set", setting]
    assert run_tool("eval_map.py", *same, folder=tmp_path).returncode == 0
    assert rows[0]["mAP"] == pytest.approx(json.loads((tmp_path / "map.json").read_text())["mAP"], abs=1e-6)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob(".cache/shared_scores/*/*.npz")}
    assert len(kept) == 4
    again = run_tool("experiments/compare_shared_settings.py", *options, "--only", "score_threshold", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "numbers.json").read_text())["rows"] == [rows[0], rows[3]]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob(".cache/shared_scores/*/*.npz")} == kept


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--variant", "scores.round=2"], "scores.rounds"),
        (["--only", "nothing"], "no variant holds nothing"),
        (["--weights", "googlenet-voc"], "trained on crops"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(small_voc, tmp_path, options, sentence):
    result = run_tool("experiments/compare_shared_settings.py", "--root", small_voc, *options, folder=tmp_path)
    assert result.returncode in (2, 3)
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
