"""Coverage of objects by proposals, against slow loops and integrals."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incdet.evaluation.plots import coverage_over_number_plot, coverage_over_overlap_plot
from incdet.evaluation.recall import PROPOSAL_COUNTS, average_recall, coverage_at, measure_coverage, overlap_statistics
from incdet.ops.boxes import box_iou
from incdet.structures import GroundTruth, Proposals


def truth(boxes, class_ids=None, ignored=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    class_ids = np.zeros(len(boxes), np.int64) if class_ids is None else np.array(class_ids)
    ignored = np.zeros(len(boxes), bool) if ignored is None else np.array(ignored)
    return GroundTruth("photo", 500, 400, boxes, class_ids, ignored)


def proposals(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.linspace(1, 0, len(boxes), dtype=np.float32)
    return Proposals(boxes, scores, np.full(len(boxes), "test"))


@st.composite
def box_lists(draw, most):
    corners = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 30)] * 2)
    drawn = draw(st.lists(corners, max_size=most))
    return [[x, y, x + width, y + height] for x, y, width, height in drawn]


def test_an_overlap_of_exactly_one_half_counts():
    """Inclusive corners 1..10 and 1..5 in VOC's files are 0, 10 and 0, 5 here."""
    coverage = measure_coverage([truth([[0, 0, 10, 10]])], [proposals([[0, 0, 10, 5]])])
    assert coverage.best.tolist() == [0.5]
    assert coverage.to_json()["coverage"] == 1
    nearly = measure_coverage([truth([[0, 0, 100, 100]])], [proposals([[0, 0, 100, 49]])])
    assert nearly.to_json()["coverage"] == 0


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30))
def test_average_recall_is_the_integral_of_coverage(overlaps):
    overlaps = np.array(overlaps, np.float32)
    thresholds = 0.5 + (np.arange(2000) + 0.5) / 4000
    assert average_recall(overlaps) == pytest.approx(
        np.mean([coverage_at(overlaps, threshold) for threshold in thresholds]), abs=1e-3
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(box_lists(4), box_lists(60)), min_size=1, max_size=3))
def test_best_overlaps_are_those_of_a_double_loop(images):
    coverage = measure_coverage([truth(boxes) for boxes, _ in images], [proposals(found) for _, found in images])
    row = 0
    for boxes, found in images:
        for box in boxes:
            overlaps = [float(box_iou(np.array([box]), np.array([other]))[0, 0]) for other in found]
            for column, number in enumerate((*PROPOSAL_COUNTS, len(found))):
                assert coverage.overlaps[row, column] == pytest.approx(max(overlaps[:number], default=0), abs=1e-6)
            row += 1
    assert row == len(coverage.best)
    assert coverage.num_proposals.tolist() == [len(found) for _, found in images]


def test_difficult_objects_count_and_are_told_apart():
    coverage = measure_coverage(
        [truth([[0, 0, 10, 10], [50, 50, 90, 90]], ignored=[False, True])], [proposals([[0, 0, 10, 10]])]
    )
    assert coverage.to_json()["coverage"] == 0.5
    assert coverage.to_json()["by_kind"]["not difficult"]["coverage"] == 1


def test_sizes_begin_at_their_lower_limits():
    sides = [31, 32, 95, 96]
    coverage = measure_coverage([truth([[0, 0, side, side] for side in sides])], [proposals([])])
    counts = {name: len(part.best) for name, part in coverage.by_kind().items()}
    assert counts == {"small": 1, "medium": 2, "large": 1, "not difficult": 4}


def test_mabo_is_the_mean_over_classes_not_objects():
    objects = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]
    coverage = measure_coverage([truth(objects, class_ids=[3, 3, 7])], [proposals([objects[2]])])
    assert coverage.mean_average_best_overlap() == 0.5
    assert coverage.to_json()["mean_best_overlap"] == pytest.approx(1 / 3)


def test_the_curve_over_the_number_follows_the_order():
    objects = [[0, 0, 10, 10]]
    found = [[50 + shift, 50, 60 + shift, 60] for shift in range(3)]
    late = measure_coverage([truth(objects)], [proposals([*found, *objects])]).to_json()["by_number"]
    early = measure_coverage([truth(objects)], [proposals([*objects, *found])]).to_json()["by_number"]
    assert [entry["proposals"] for entry in late] == [1, 2]
    assert [entry["coverage"] for entry in late] == [0, 0]
    assert [entry["coverage"] for entry in early] == [1, 1]


@pytest.mark.parametrize("images", [[], [([], [])], [([], [[0, 0, 5, 5]])]])
def test_without_objects_numbers_are_null(images):
    coverage = measure_coverage([truth(boxes) for boxes, _ in images], [proposals(found) for _, found in images])
    values = json.loads(json.dumps(coverage.to_json(), allow_nan=False))
    assert values["coverage"] is values["average_recall"] is values["mean_best_overlap"] is None
    assert values["num_objects"] == 0
    assert values["num_images"] == len(images)
    assert coverage_over_number_plot(coverage).startswith(b"\x89PNG")
    assert coverage_over_overlap_plot(coverage).startswith(b"\x89PNG")


def test_every_object_needs_its_image():
    with pytest.raises(ValueError, match="shorter"):
        measure_coverage([truth([]), truth([])], [proposals([])])


def test_numbers_of_perfect_overlaps():
    assert overlap_statistics(np.ones(3)) == {"coverage": 1, "average_recall": 1, "mean_best_overlap": 1}
