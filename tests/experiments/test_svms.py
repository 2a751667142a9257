"""SVMs on last features: what they learn from, the fit, the tool."""

import json

import numpy as np
import pytest
import torch
from running_tools import run_tool
from scipy.optimize import check_grad
from svms import SvmExamples, _losses, collect_examples, fit_svms, svm_labels

from incdet.errors import DataError
from incdet.structures import GroundTruth, Image, Proposals

pytestmark = pytest.mark.slow


def truth_of(boxes, class_ids, ignored=None, size=100):
    ignored = np.zeros(len(boxes), bool) if ignored is None else np.array(ignored)
    return GroundTruth("a", size, size, np.array(boxes, np.float32), np.array(class_ids, np.int64), ignored)


def proposals_of(boxes):
    boxes = np.array(boxes, np.float32)
    return Proposals(boxes, np.linspace(1, 0, len(boxes), dtype=np.float32), np.full(len(boxes), "moved"))


def examples_of(count=400, classes=3, noise=1.0, seed=0):
    """Regions of which each class stands out in two features of its own, in photos of four."""
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, classes + 1, count)
    labels = np.where(kinds[:, None] == np.arange(classes), 1, -1).astype(np.int8)
    features = generator.normal(0, noise, (count, 2 * classes)) + np.repeat(labels, 2, axis=1)
    return SvmExamples(torch.from_numpy(features).half(), labels, np.arange(count) // 4)


def test_labels_are_the_objects_own_boxes_and_what_overlaps_no_object_of_the_class():
    truth = truth_of([[0, 0, 10, 10], [50, 50, 90, 90], [0, 80, 10, 90]], [1, 0, 0], [False, False, True])
    boxes = np.array(
        [
            [0, 0, 10, 10],
            [50, 50, 90, 90],
            [0, 0, 10, 3.5],  # 0.35 of the first object
            [0, 0, 10, 2.5],  # 0.25 of it
            [0, 80, 10, 90],  # the ignored object
            [20, 20, 30, 30],
        ],
        np.float32,
    )
    assert svm_labels(boxes, truth, 3).tolist() == [
        [-1, 1, -1],
        [1, -1, -1],
        [-1, 0, -1],
        [-1, -1, -1],
        [0, -1, -1],
        [-1, -1, -1],
    ]
    assert svm_labels(boxes[:2], truth_of(np.zeros((0, 4)), []), 2).tolist() == [[-1, -1], [-1, -1]]


def test_examples_are_objects_and_proposals_half_of_which_touch_one():
    image = Image(np.zeros((200, 200, 3), np.uint8))
    # annotated at half the photo's size
    truth = truth_of([[0, 0, 40, 40], [50, 0, 90, 40]], [2, 0], [False, True])
    touching = [[0, 0, 40 + step, 80] for step in range(10)]
    elsewhere = [[100 + step, 150, 190, 200] for step in range(10)]
    nothing = truth_of(np.zeros((0, 4)), [])
    seen = []

    def features_of(_, boxes):
        seen.append(boxes)
        return torch.from_numpy(boxes).half()

    photos = [(image, nothing, proposals_of(elsewhere)), (image, truth, proposals_of(touching + elsewhere))]
    found = collect_examples(features_of, photos, 3, 6, seed=1)
    assert [len(boxes) for boxes in seen] == [6, 7]
    assert seen[1][0].tolist() == [0, 0, 80, 80]
    # three touch; the others are drawn from all
    assert 3 <= (seen[1][1:, 1] == 0).sum() < 6
    assert len(np.unique(seen[1], axis=0)) == 7
    assert found.photos.tolist() == [0] * 6 + [1] * 7
    assert (found.labels[:, 2] == 1).tolist() == [False] * 6 + [True] + [False] * 6
    assert found.features.tolist() == torch.from_numpy(np.concatenate(seen)).half().tolist()
    again = collect_examples(features_of, photos, 3, 6, seed=1)
    assert torch.equal(again.features, found.features)
    assert not torch.equal(collect_examples(features_of, photos, 3, 6, seed=2).features, found.features)
    with pytest.raises(DataError, match="no object to learn from"):
        collect_examples(features_of, photos[:1], 3, 6, seed=1)
    # all that there are, where there are fewer
    few = [(image, truth, proposals_of(touching[:2]))]
    assert len(collect_examples(features_of, few, 3, 6, seed=1).labels) == 3


def test_svms_tell_classes_apart_on_new_examples():
    svms, losses = fit_svms(examples_of(noise=0.5))
    assert losses.keys() == {1e-4, 1e-3, 1e-2}
    new = examples_of(noise=0.5, seed=1)
    margins = svms(new.features)
    assert ((margins > 0).numpy() == (new.labels > 0)).mean() > 0.95


def test_svms_are_the_minimum_that_a_plain_descent_finds():
    examples, cost = examples_of(80, 2), 1e-3
    svms, _ = fit_svms(examples, (cost,))
    features, labels = examples.features.double().numpy(), examples.labels.astype(float)
    scale = 20 / np.linalg.norm(features, axis=1).mean()
    weight, bias = np.zeros((4, 2)), np.zeros(2)
    for _ in range(5000):
        missing = (1 - labels * (scale * features @ weight + bias)).clip(min=0)
        slopes = -2 * cost * np.where(labels > 0, 2, 1) * labels * missing
        weight -= 0.005 * (weight + scale * features.T @ slopes)
        bias -= 0.5 * slopes.sum(axis=0)
    assert svms.weight.numpy() == pytest.approx(scale * weight, rel=0.01, abs=1e-3)
    assert svms.bias.numpy() == pytest.approx(bias, rel=0.01, abs=1e-3)


def test_what_is_neither_class_nor_background_teaches_nothing():
    examples = examples_of(100, 2)
    between = SvmExamples(examples.features, examples.labels * (np.arange(100) % 3 > 0)[:, None], examples.photos)
    left_out = examples[np.flatnonzero(np.arange(100) % 3 > 0)]
    # the mean norm, and with it the scale, is that of all
    features = torch.ones(100, 4).half() * examples.features.sign()
    same_norms = SvmExamples(features, between.labels, examples.photos)
    without = SvmExamples(features[torch.arange(100) % 3 > 0], left_out.labels, left_out.photos)
    svms = [fit_svms(each, (1e-3,))[0] for each in (same_norms, without)]
    assert svms[0].weight.numpy() == pytest.approx(svms[1].weight.numpy(), abs=1e-3)


def test_slopes_are_those_of_the_losses():
    labels = np.array([[1, -1, 0, 1]], np.int8)
    total, slope = (lambda x, part=part: _losses(x[None], labels)[part] for part in (0, 1))
    assert check_grad(lambda x: total(x).sum(), lambda x: slope(x)[0], np.array([0.3, -0.2, 0.5, 2.0])) < 1e-5


def test_the_cost_is_the_one_that_serves_photos_held_out_best():
    for noise in (0.3, 30.0):
        examples = examples_of(60, 3, noise)
        svms, losses = fit_svms(examples, (1e-5, 1.0))
        best = min(losses, key=losses.get)
        assert torch.equal(svms.weight, fit_svms(examples, (best,))[0].weight)
        assert best == (1.0 if noise == 0.3 else 1e-5)
    with pytest.raises(DataError, match="hold some out"):
        fit_svms(examples_of(4))


def test_the_tool_judges_both_and_goes_on_where_it_stopped(small_voc, own_weights):
    folder = own_weights.parent
    options = ["--root", small_voc, "--train-split", "val", "--regions", 6, "--set", "proposals.limit=12"]
    options += ["--set", "proposals.methods=[selective_search]", "--set", "scores.engine=torch"]
    result = run_tool("experiments/compare_svms.py", own_weights, *options, folder=folder)
    assert result.returncode == 0, result.stderr
    numbers = json.loads((folder / "runs/compare_svms/map.json").read_text())
    assert numbers.keys() == {"softmax", "SVMs"}
    assert numbers["softmax"][0] > 0.4
    assert (folder / "runs/compare_svms/svms/report.html").exists()
    # softmax is what eval_map has
    same = ["--dataset", "voc", "--root", small_voc, "--weights", own_weights, *options[6:], "--json", "map.json"]
    assert run_tool("eval_map.py", *same, folder=folder).returncode == 0
    expected = json.loads((folder / "map.json").read_text())["mAP"]
    assert numbers["softmax"][0] == pytest.approx(expected, abs=1e-3)
    features = {file: file.stat().st_mtime_ns for file in folder.glob(".cache/features/*/*.npz")}
    assert len(features) == 4
    again = run_tool("experiments/compare_svms.py", own_weights, *options, folder=folder)
    assert json.loads((folder / "runs/compare_svms/map.json").read_text()) == numbers, again.stderr
    assert {file: file.stat().st_mtime_ns for file in features} == features
