"""Explanations of detections: proposals, networks, what NMS left out; by hand-made scores and on a real photo."""

import numpy as np
import pytest

from incdet.config.loading import make_config
from incdet.config.sections import Config, DetectionsConfig
from incdet.detector import Detector
from incdet.images import read_image
from incdet.ops.boxes import box_iou
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.explanation import explain_detections
from incdet.structures import Image, Proposals, RegionScores

CLASSES = ("cat", "dog")
BOXES = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 10, 8]], np.float32)
SOURCES = np.array(["multibox", "selective_search", "selective_search", "selective_search"])
PROPOSALS = Proposals(BOXES, np.linspace(1, 0, 4, dtype=np.float32), SOURCES)


def scores_of(rows, others=None):
    first = np.array(rows, np.float32)
    by_network = np.stack([first, first if others is None else np.array(others, np.float32)])
    return RegionScores(BOXES, by_network.mean(axis=0), by_network)


def explain(scores, **settings):
    still = {"part_penalty": 0.0, "prominence_exponent": 0.0}
    config = DetectionsConfig(score_threshold=0.1, voting_iou=None, **(still | settings))
    found = select_detections(scores, Image(np.zeros((80, 80, 3), np.uint8)), CLASSES, config)
    return found, explain_detections(PROPOSALS, scores, CLASSES, ("rejection network", "member 1"), config)


def test_a_detection_is_traced_to_its_proposal_and_to_what_it_suppressed():
    found, explanations = explain(scores_of([[0.5, 0.2], [0.9, 0.05], [0.05, 0.8], [0.4, 0.05]]))
    assert found.labels == ["cat", "dog", "dog"]
    cat, far_dog, dog = explanations
    assert (cat.region, cat.source, cat.rank) == (1, "selective_search", 1)
    assert (far_dog.region, far_dog.source, far_dog.rank) == (2, "selective_search", 2)
    assert (dog.region, dog.source, dog.rank) == (0, "multibox", 1)
    # the cats of regions 0 and 3, the better one first; their dogs are below the threshold or another class
    assert (cat.num_suppressed, cat.suppressed_regions.tolist()) == (2, [0, 3])
    assert cat.suppressed_scores.tolist() == pytest.approx([0.5, 0.4])
    assert cat.suppressed_ious.tolist() == pytest.approx([0.9, 8 / 9])
    assert (far_dog.num_suppressed, dog.num_suppressed) == (0, 0)
    assert cat.networks[0].best == (("cat", pytest.approx(0.9)), ("dog", pytest.approx(0.05)))
    assert cat.networks[0].background == pytest.approx(0.05)


def test_networks_that_saw_nothing_are_told():
    rows = [[0.5, 0.2]] * 4
    _, explanations = explain(scores_of(rows))
    assert [network.has_seen for network in explanations[0].networks] == [True, False]
    _, explanations = explain(scores_of(rows, [[0.6, 0.2]] * 4))
    assert [network.has_seen for network in explanations[0].networks] == [True, True]


def test_a_member_that_saw_nothing_is_told_beside_a_namer_that_did():
    first = np.array([[0.5, 0.2]] * 4, np.float32)
    by_network = np.stack([first, first, first[:, ::-1]])
    scores, config = RegionScores(BOXES, by_network.mean(axis=0), by_network), DetectionsConfig(voting_iou=None)
    names = ("rejection network", "member 1", "namer")
    explanations = explain_detections(PROPOSALS, scores, CLASSES, names, config)
    assert [network.has_seen for network in explanations[0].networks] == [True, False, True]
    # a namer that saw nothing has the mean of the others
    member = np.array([[0.3, 0.2]] * 4, np.float32)
    mean = (first + member) / 2
    scores = RegionScores(BOXES, mean, np.stack([first, member, mean]))
    explanations = explain_detections(PROPOSALS, scores, CLASSES, names, config)
    assert [network.has_seen for network in explanations[0].networks] == [True, True, False]


def test_what_the_limit_of_detections_cut_off_was_not_suppressed():
    found, explanations = explain(scores_of([[0.5, 0], [0.9, 0], [0.8, 0], [0, 0]]), max_per_image=1)
    assert len(found) == len(explanations) == 1
    assert explanations[0].suppressed_regions.tolist() == [0]


def test_what_lowers_a_score_is_told_with_what_it_suppressed_itself():
    boxes = np.array([[0, 0, 20, 40], [5, 5, 15, 15], [5, 5, 15, 14]], np.float32)
    probabilities = np.array([[0.4, 0], [0.5, 0], [0.3, 0]], np.float32)
    proposals = Proposals(boxes, np.ones(3, np.float32), np.full(3, "multibox"))
    scores = RegionScores(boxes, probabilities, probabilities[None])
    config = DetectionsConfig(voting_iou=None)
    whole, part = explain_detections(proposals, scores, CLASSES, ("network",), config)
    # 0.5 of 0.5 times 0.4 / 0.5: what was the best box comes second
    assert (whole.region, whole.part_factor, whole.prominence_factor, whole.num_suppressed) == (0, 1, 1, 0)
    assert (part.region, part.part_factor) == (1, pytest.approx(0.6))
    # then 0.3, with an eighth of the area of the whole
    assert part.prominence_factor == pytest.approx((1 / 8) ** 0.1)
    assert part.suppressed_regions.tolist() == [2]


def test_a_photo_is_explained_as_it_is_detected(chelsea_file):
    search = {"methods": ["selective_search"], "limit": 60}
    scores = {"features": "shared", "engine": "torch"}
    config = make_config(Config, {"device": "cpu", "proposals": search, "scores": scores}, "a test")
    detector = Detector.from_pretrained(config=config)
    image = read_image(chelsea_file)
    proposals = detector.propose(image)
    region_scores = detector.score(image, proposals)
    found = detector.select(region_scores, image)
    explanations = detector.explain(proposals, region_scores)
    assert len(explanations) == len(found) > 0
    for explanation, box, label, score in zip(explanations, found.boxes, found.labels, found.scores, strict=True):
        assert np.array_equal(explanation.proposal_box, proposals.boxes[explanation.region])
        assert box_iou(explanation.region_box[None], box[None])[0, 0] > 0.3
        class_id = detector.class_names.index(label)
        probability = region_scores.probabilities[explanation.region, class_id]
        assert probability * explanation.part_factor * explanation.prominence_factor == pytest.approx(score)
        assert (explanation.suppressed_scores <= probability).all()
        assert (explanation.suppressed_ious > config.detections.iou_threshold).all()
    assert (explanations[0].networks[0].best[0][0], found.labels[0]) == ("cat", "cat")
