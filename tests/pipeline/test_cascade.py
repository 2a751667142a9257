"""What gates cost, told from answers that were kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cascade_answers import ask_every_look
from running_tools import run_tool

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.images import read_image
from incdet.networks.ensemble import Gates

CASCADE = ("googlenet-voc", "googlenet-voc-1", "googlenet-voc-2")


def few(**scores) -> Config:
    scores = {"precision": "float32", "engine": "torch", **scores}
    proposals = {"limit": 24, "methods": ["selective_search"]}
    return make_config(Config, {"proposals": proposals, "scores": scores, "device": "cpu"}, "test")


@pytest.fixture(scope="module")
def asked(chelsea_file):
    """(photo, its proposals, what every look says about them)."""
    detector = Detector.from_pretrained(*CASCADE, cascade=True, config=few())
    image = read_image(chelsea_file, detector.config.images)
    proposals = detector.proposers(image)
    return image, proposals, ask_every_look(detector, image, proposals)


def between(values: np.ndarray, passed: int) -> float:
    """A gate that so many regions pass, as far from the nearest ones as can be."""
    best = np.sort(values.max(axis=1))
    return float(best[-passed - 1 : len(best) - passed + 1].mean())


def test_answers_behind_gates_are_those_of_a_detector_with_these_gates(asked):
    image, proposals, answers = asked
    gates = Gates(between(answers.first, 9), between(answers.coarse, 15))
    near, close = answers.passed(gates)
    assert near.sum() == 15
    assert 0 < close.sum() <= 9
    config = few(min_probability=gates.first, half_resolution_min_probability=gates.coarse)
    expected = Detector.from_pretrained(*CASCADE, cascade=True, config=config).score(image, proposals)
    found = answers.behind(gates)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert found.boxes == pytest.approx(expected.boxes, abs=0.05)
    # each look says something else, and each was asked
    for passed, one, other in ((near, answers.coarse, answers.first), (close, answers.first, answers.members)):
        assert np.abs(one - other)[passed].max() > 0.01
    assert np.abs(answers.first_boxes - answers.coarse_boxes).max() > 1


def test_members_are_asked_from_the_lowest_gate_on(asked):
    image, proposals, answers = asked
    gate = between(answers.first, 6)
    detector = Detector.from_pretrained(*CASCADE, cascade=True, config=few())
    fewer = ask_every_look(detector, image, proposals, gate)
    asked_for = answers.first.max(axis=1) >= gate
    assert asked_for.sum() == 6
    assert fewer.members == pytest.approx(np.where(asked_for[:, None], answers.members, answers.first), abs=1e-4)
    nothing = ask_every_look(detector, image, proposals[:0])
    assert len(nothing.behind(Gates(0.1, 0.1))) == 0


def test_members_regressions_count_only_where_members_look(asked):
    answers = asked[-1]
    moved = np.where(answers.first.max(axis=1, keepdims=True) >= 0.5, answers.first_boxes + 1, answers.first_boxes)
    own = replace(answers, members_boxes=moved)
    gate = between(answers.first, 3)
    close = own.passed(Gates(gate, 0.0))[1]
    assert np.array_equal(own.behind(Gates(gate, 0.0)).boxes, np.where(close[:, None], moved, answers.first_boxes))


def test_the_tool_tries_gates_and_goes_on_where_it_stopped(small_voc, tmp_path):
    settings = ["--set", "proposals.limit=12", "--set", "proposals.methods=[selective_search]"]
    settings += ["--set", "scores.engine=torch"]
    for name in CASCADE[:2]:
        settings += ["--detector", name]
    options = [
        "--root",
        small_voc,
        "--split",
        "val",
        "--gate",
        1,
        "--gate",
        0,
        "--coarse-gate",
        0,
        "--coarse-gate",
        0.5,
    ]
    result = run_tool("experiments/compare_gates.py", *options, *settings, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "runs/compare_gates/gates.json").read_text())["rows"]
    assert [(row["coarse gate"], row["gate"]) for row in rows] == [(0, 0), (0, 1), (0.5, 0), (0.5, 1)]
    assert [row["members see"] for row in rows[:2]] == [1, 0]
    assert 0 < rows[2]["members see"] == rows[2]["first stage sees"] < 1
    same = ["--dataset", "voc", "--root", small_voc, "--cascade", *settings, "--json", "map.json"]
    same += ["--set", "scores.min_probability=0", "--set", "scores.half_resolution_min_probability=0"]
    assert run_tool("eval_map.py", *same, folder=tmp_path).returncode == 0
    assert rows[0]["mAP"] == pytest.approx(json.loads((tmp_path / "map.json").read_text())["mAP"], abs=1e-3)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob(".cache/looks/*/*.npz")}
    assert len(kept) == 2
    again = run_tool("experiments/compare_gates.py", *options, "--gate", 0.3, *settings, folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert len(json.loads((tmp_path / "runs/compare_gates/gates.json").read_text())["rows"]) == 6
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob(".cache/looks/*/*.npz")} == kept


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--gate", 1.5], "1.5"), (["--detector", "googlenet-voc"], "needs at least one network")],
)
def test_what_cannot_be_compared_is_one_sentence(small_voc, tmp_path, options, sentence):
    result = run_tool("experiments/compare_gates.py", "--root", small_voc, "--split", "val", *options, folder=tmp_path)
    assert result.returncode in (2, 3)
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
