"""What thresholds cost, told from stored outputs of a cascade."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cascade_outputs import run_every_stage
from running_tools import run_tool

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.images import read_image
from incdet.pipeline.cascade import Thresholds

pytestmark = pytest.mark.slow

CASCADE = ("googlenet-voc", "googlenet-voc-1", "googlenet-voc-2")


def few(**scores) -> Config:
    scores = {"precision": "float32", "engine": "torch", **scores}
    proposals = {"limit": 12, "methods": ["selective_search"]}
    return make_config(Config, {"proposals": proposals, "scores": scores, "device": "cpu"}, "test")


@pytest.fixture(scope="module")
def asked(chelsea_file):
    """(photo, its proposals, the outputs of every stage)."""
    detector = Detector.from_pretrained(*CASCADE, cascade=True, config=few())
    image = read_image(chelsea_file, detector.config.images)
    proposals = detector.proposers(image)
    return image, proposals, run_every_stage(detector, image, proposals)


def between(values: np.ndarray, passed: int) -> float:
    """A threshold that this many regions reach, as far from the nearest ones as can be."""
    best = np.sort(values.max(axis=1))
    return float(best[-passed - 1 : len(best) - passed + 1].mean())


def test_outputs_with_thresholds_are_those_of_a_detector_with_these_thresholds(asked):
    image, proposals, outputs = asked
    thresholds = Thresholds(between(outputs.rejection, 5), between(outputs.half_resolution, 8))
    near, close = outputs.passed(thresholds)
    assert near.sum() == 8
    assert 0 < close.sum() <= 5
    config = few(
        min_probability=thresholds.min_probability,
        half_resolution_min_probability=thresholds.half_resolution_min_probability,
    )
    expected = Detector.from_pretrained(*CASCADE, cascade=True, config=config).score(image, proposals)
    found = outputs.with_thresholds(thresholds)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert found.boxes == pytest.approx(expected.boxes, abs=0.05)
    # each stage says something else
    for passed, one, other in (
        (near, outputs.half_resolution, outputs.rejection),
        (close, outputs.rejection, outputs.members),
    ):
        assert np.abs(one - other)[passed].max() > 0.01
    assert np.abs(outputs.rejection_boxes - outputs.half_resolution_boxes).max() > 1


def test_members_are_asked_from_the_lowest_threshold_on(asked):
    image, proposals, outputs = asked
    threshold = between(outputs.rejection, 3)
    detector = Detector.from_pretrained(*CASCADE, cascade=True, config=few())
    fewer = run_every_stage(detector, image, proposals, threshold)
    asked_for = outputs.rejection.max(axis=1) >= threshold
    assert asked_for.sum() == 3
    assert fewer.members == pytest.approx(np.where(asked_for[:, None], outputs.members, outputs.rejection), abs=1e-4)
    nothing = run_every_stage(detector, image, proposals[:0])
    assert len(nothing.with_thresholds(Thresholds(0.1, 0.1))) == 0


def test_members_regressions_count_only_where_members_are_asked(asked):
    outputs = asked[-1]
    moved = np.where(
        outputs.rejection.max(axis=1, keepdims=True) >= 0.5, outputs.rejection_boxes + 1, outputs.rejection_boxes
    )
    own = replace(outputs, members_boxes=moved)
    threshold = between(outputs.rejection, 3)
    close = own.passed(Thresholds(threshold, 0.0))[1]
    assert np.array_equal(
        own.with_thresholds(Thresholds(threshold, 0.0)).boxes, np.where(close[:, None], moved, outputs.rejection_boxes)
    )


def test_the_tool_tries_thresholds_and_goes_on_where_it_stopped(small_voc, tmp_path):
    settings = ["--set", "proposals.limit=12", "--set", "proposals.methods=[selective_search]"]
    settings += ["--set", "scores.engine=torch"]
    for name in CASCADE[:2]:
        settings += ["--weights", name]
    options = [
        "--root",
        small_voc,
        "--split",
        "val",
        "--min-probability",
        1,
        "--min-probability",
        0,
        "--half-resolution",
        0,
        "--half-resolution",
        0.5,
    ]
    result = run_tool("experiments/compare_thresholds.py", *options, *settings, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "runs/compare_thresholds/thresholds.json").read_text())["rows"]
    assert [(row["half-resolution"], row["min probability"]) for row in rows] == [(0, 0), (0, 1), (0.5, 0), (0.5, 1)]
    assert [row["reach members"] for row in rows[:2]] == [1, 0]
    assert 0 < rows[2]["reach members"] == rows[2]["reach rejection"] < 1
    same = ["--dataset", "voc", "--root", small_voc, "--cascade", *settings, "--json", "map.json"]
    same += ["--set", "scores.min_probability=0", "--set", "scores.half_resolution_min_probability=0"]
    assert run_tool("eval_map.py", *same, folder=tmp_path).returncode == 0
    assert rows[0]["mAP"] == pytest.approx(json.loads((tmp_path / "map.json").read_text())["mAP"], abs=1e-3)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob(".cache/cascade_outputs/*/*.npz")}
    assert len(kept) == 2
    again = run_tool(
        "experiments/compare_thresholds.py", *options, "--min-probability", 0.3, *settings, folder=tmp_path
    )
    assert again.returncode == 0, again.stderr
    assert len(json.loads((tmp_path / "runs/compare_thresholds/thresholds.json").read_text())["rows"]) == 6
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob(".cache/cascade_outputs/*/*.npz")} == kept


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--min-probability", 1.5], "1.5"), (["--weights", "googlenet-voc"], "needs at least one network")],
)
def test_what_cannot_be_compared_is_one_sentence(small_voc, tmp_path, options, sentence):
    result = run_tool(
        "experiments/compare_thresholds.py", "--root", small_voc, "--split", "val", *options, folder=tmp_path
    )
    assert result.returncode in (2, 3)
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
