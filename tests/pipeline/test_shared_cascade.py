"""A rejection network on shared features in front of members on crops."""

import numpy as np
import pytest
from test_shared_regions import BOXES, config_of, random_network, record

import incdet
from incdet.detector import Detector
from incdet.errors import WeightsError
from incdet.networks.ensemble import LoadedNetwork
from incdet.networks.shipped_weights import REJECTION_NETWORK, SHARED_NETWORK
from incdet.networks.weights_record import Preprocessing
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.shared_cascade import group_regions
from incdet.structures import Proposals, RegionScores

EXACT = {"precision": "float32", "engine": "torch", "region_iou": 1.0, "representative_min_probability": 0.0}


@pytest.fixture(scope="module")
def image(chelsea_file):
    return incdet.read_image(chelsea_file)


def loaded(seed, features, **preprocessing):
    """A network of random weights; those on crops move nothing, like the shipped members."""
    network = random_network(seed)
    if features == "cropped":
        network.box_regressor = None
    return LoadedNetwork(network, record(features, preprocessing=Preprocessing(**preprocessing)))


def detector_of(members, rejection_network, **scores):
    return Detector(members, rejection_network, config_of(scores=EXACT | scores))


def classify(detector, image, boxes):
    rank = np.linspace(1, 0.5, len(boxes), dtype=np.float32)
    return detector.score(image, Proposals(boxes, rank, np.full(len(boxes), "a")))


def regions(*rows):
    """Regions from rows of x1, x2 and the probabilities of two classes; all are ten pixels high."""
    values = np.array(rows, np.float32).reshape(-1, 4)
    boxes = np.stack([values[:, 0], np.zeros(len(rows)), values[:, 1], np.full(len(rows), 10)], axis=1)
    return RegionScores(boxes.astype(np.float32), values[:, 2:])


def test_the_most_probable_of_overlapping_regions_stands_for_them():
    scores = regions((0, 10, 0.1, 0.3), (1, 10, 0.6, 0.2), (50, 60, 0.0, 0.3), (0, 10, 0.05, 0.04), (3, 12, 0.2, 0.0))
    groups = group_regions(scores, min_probability=0.1, representative_iou=0.5)
    # equal probabilities keep the order of the proposals; the fourth region is not promising
    assert groups.rows.tolist() == [1, 0, 2, 4]
    assert groups.representatives.tolist() == [1, 2]
    assert groups.groups.tolist() == [0, 0, 1, 0]
    # the second group has 0.3, and leaves as a whole
    strong = groups.from_probability(scores, 0.5)
    assert strong.rows.tolist() == [1, 0, 4]
    assert strong.representatives.tolist() == [1]
    assert strong.groups.tolist() == [0, 0, 0]
    everything = groups.from_probability(scores, 0.3)
    assert [part.tolist() for part in everything] == [part.tolist() for part in groups]
    assert [len(part) for part in groups.from_probability(scores, 0.7)] == [0, 0, 0]


def test_a_region_joins_the_representative_that_it_overlaps_most():
    scores = regions((0, 10, 0.9, 0), (5, 15, 0.8, 0), (4, 14, 0.5, 0))
    groups = group_regions(scores, min_probability=0.1, representative_iou=0.4)
    assert groups.representatives.tolist() == [0, 1]
    assert groups.groups.tolist() == [0, 1, 1]


def test_every_region_stands_for_itself_at_one():
    scores = regions((0, 10, 0.5, 0), (0, 10, 0.4, 0), (0, 9, 0.3, 0))
    groups = group_regions(scores, min_probability=0.0, representative_iou=1.0)
    # the second box is the first one, whose IoU of 1 is not above the threshold
    assert groups.representatives.tolist() == [0, 1, 2]


def test_no_region_is_promising():
    groups = group_regions(regions((0, 10, 0.5, 0)), min_probability=0.6, representative_iou=0.5)
    assert [len(part) for part in groups] == [0, 0, 0]
    assert [len(part) for part in groups.from_probability(regions((0, 10, 0.5, 0)), 0.0)] == [0, 0, 0]


def test_members_see_representatives_where_the_rejection_network_has_moved_them(image):
    first, member, other = loaded(1, "shared", photo_sides=(256,)), loaded(2, "cropped"), loaded(3, "cropped")
    # a region twice, so that there is a group
    boxes = np.concatenate([BOXES, BOXES[:1] + np.float32(1)])
    moved = classify(detector_of([first], None), image, boxes)
    threshold = float(np.sort(moved.probabilities.max(axis=1))[:2].mean())
    groups = group_regions(moved, threshold, 0.5)
    assert 0 < len(groups.representatives) < len(groups.rows) < len(boxes)

    found = classify(detector_of([member, other], first, min_probability=threshold), image, boxes)
    of_members = [
        classify(detector_of([one], None), image, moved.boxes[groups.representatives]) for one in (member, other)
    ]
    expected = np.stack([moved.probabilities] * 3)
    for number, alone in enumerate(of_members, 1):
        expected[number, groups.rows] = alone.probabilities[groups.groups]
    assert found.by_network == pytest.approx(expected, abs=1e-5)
    # both members together count as much as the rejection network
    mean = expected[0] / 2 + expected[1] / 4 + expected[2] / 4
    assert found.probabilities == pytest.approx(mean, abs=1e-5)
    assert np.array_equal(found.boxes, moved.boxes)


def test_no_member_sees_a_region_above_the_threshold_of_one(image):
    first, member = loaded(1, "shared", photo_sides=(256,)), loaded(2, "cropped")
    detector = detector_of([member], first)
    alone = classify(detector_of([first], None), image, BOXES)
    found = classify(detector.with_thresholds(Thresholds(1.0, 0.0)), image, BOXES)
    assert np.array_equal(found.probabilities, alone.probabilities)
    strict = detector_of([member], first, min_probability=0.0, representative_min_probability=1.0)
    assert np.array_equal(classify(strict, image, BOXES).probabilities, alone.probabilities)
    assert classify(detector, image, BOXES[:0]).probabilities.shape == (0, 3)


def test_what_the_detector_says_of_itself():
    first, member = loaded(1, "shared", photo_sides=(256, 320)), loaded(2, "cropped")
    detector = detector_of([member, member], first)
    assert detector.features == "both"
    assert detector.describe()["photo_sides"] == [256, 320]
    assert list(detector.scorer.network_names) == ["rejection network", "member 1", "member 2"]
    assert "2 networks" in detector.scorer.describe()
    with pytest.raises(WeightsError, match=r"scores\.features is cropped, but .* trained on both features"):
        detector_of([member], first, features="cropped")
    with pytest.raises(WeightsError, match="members were trained on shared features"):
        detector_of([first], member)


@pytest.mark.slow
def test_the_shipped_detector_begins_with_shared_features(image):
    detector = Detector.from_pretrained(members=1, config=config_of())
    assert detector.features == "both"
    assert detector.origin.rejection_network == f"{SHARED_NETWORK}.safetensors"
    assert detector.origin.members == (f"{REJECTION_NETWORK}-1.safetensors",)
    found = classify(detector, image, BOXES[:1])
    assert detector.class_names[found.probabilities[0].argmax()] == "cat"
