"""A finder, which knows where objects are, in front of a namer, which knows what they are."""

import numpy as np
import pytest
from test_shared_regions import BOXES, config_of, random_network, record

import incdet
from incdet.detector import Detector
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.chosen_weights import check_detector, choose_weights
from incdet.networks.ensemble import LoadedNetwork
from incdet.networks.shipped_weights import SHARED_NETWORK, find_weights
from incdet.networks.weights import load_network, load_record, save_weights
from incdet.networks.weights_record import Preprocessing
from incdet.pipeline.cascade import Thresholds
from incdet.structures import Proposals

EXACT = {"precision": "float32", "engine": "torch", "region_iou": 1.0}


@pytest.fixture(scope="module")
def image(chelsea_file):
    return incdet.read_image(chelsea_file)


@pytest.fixture(scope="module")
def finder():
    """A finder of two classes, one of which the namer calls "cow"; it sees photos of another size than the namer."""
    stored = record(classes=("thing", "cattle"), preprocessing=Preprocessing(photo_sides=(320,)))
    return LoadedNetwork(random_network(1, num_columns=3), stored)


@pytest.fixture(scope="module")
def namer():
    stored = record(preprocessing=Preprocessing(photo_sides=(256,)), other_names={"cattle": "cow"})
    return LoadedNetwork(random_network(2), stored)


def classify(members, image, boxes, finder=None, **scores):
    detector = Detector(members, config=config_of(scores=EXACT | scores), finder=finder)
    rank = np.linspace(1, 0.5, len(boxes), dtype=np.float32)
    return detector.score(image, Proposals(boxes, rank, np.full(len(boxes), "a")))


def test_both_say_what_is_an_object_and_the_namer_alone_says_which(image, finder, namer):
    found = classify([finder], image, BOXES)
    is_object = found.probabilities.sum(axis=1)
    # two regions on either side of the threshold
    threshold = float(np.sort(is_object)[1:3].mean())
    rows = np.flatnonzero(is_object >= threshold)
    assert len(rows) == 2
    named = classify([namer], image, found.boxes[rows], rounds=1).probabilities
    named_object = named.sum(axis=1)

    scores = classify([namer], image, BOXES, finder, min_probability=threshold)
    expected = np.sqrt(is_object[rows] * named_object)[:, None] * named / named_object[:, None]
    expected[:, 2] = (expected[:, 2] + found.probabilities[rows, 1]) / 2
    expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1)
    assert np.allclose(scores.probabilities[rows], expected, atol=1e-5)
    assert np.allclose(scores.boxes, found.boxes, atol=1e-3)
    assert not np.delete(scores.probabilities, rows, axis=0).any()
    # what each of them says by itself
    assert np.allclose(scores.by_network[0].sum(axis=1)[rows], is_object[rows], atol=1e-5)
    assert np.allclose(scores.by_network[1][rows], named, atol=1e-5)


def test_no_region_is_an_object(image, finder, namer):
    detector = Detector([namer], config=config_of(scores=EXACT), finder=finder)
    everything = Proposals(BOXES, np.linspace(1, 0.5, len(BOXES), dtype=np.float32), np.full(len(BOXES), "a"))
    for boxes, threshold in ((BOXES[:0], 0.1), (BOXES, 1.0)):
        scores = detector.with_thresholds(Thresholds(threshold)).score(image, everything[: len(boxes)])
        assert scores.probabilities.shape == (len(boxes), 3)
        assert not scores.probabilities.any()
    assert detector.select(scores, image).labels == []
    assert detector.explain(everything, scores) == []


def test_networks_that_cannot_be_a_pair_are_refused(finder, namer):
    on_crops = LoadedNetwork(random_network(), record("cropped"))
    with pytest.raises(WeightsError, match=r"the finder was trained on cropped features.*googlenet-voc-shared"):
        Detector([namer], config=config_of(), finder=on_crops)
    with pytest.raises(WeightsError, match=r"these were trained on cropped features; set scores.finder=none"):
        Detector([on_crops], config=config_of(), finder=finder)
    whole_photos = LoadedNetwork(random_network(), record(background=False))
    with pytest.raises(WeightsError, match="no background column"):
        Detector([namer], config=config_of(), finder=whole_photos)


def test_the_record_of_the_weights_chooses_the_finder(tmp_path, namer):
    shared = find_weights(SHARED_NETWORK)
    assert choose_weights(["ilsvrc200"], None, False, config_of()).finder == shared
    assert choose_weights([shared], None, False, config_of()).finder is None
    alone = config_of(scores={"finder": "none"})
    assert choose_weights(["ilsvrc200"], None, False, alone).finder is None
    # in a cascade the rejection network finds objects
    assert choose_weights(["ilsvrc200", "googlenet-voc-1"], None, True, config_of()).finder is None

    other = config_of(scores={"finder": str(tmp_path / "no.safetensors")})
    with pytest.raises(WeightsError, match=r"no\.safetensors"):
        choose_weights(["ilsvrc200"], None, False, other)
    given = config_of(scores={"finder": "voc-shared"})
    with pytest.raises(ConfigurationError, match=r"scores.finder is 'voc-shared'.*VOC's classes need none"):
        choose_weights([], None, False, given)
    with pytest.raises(ConfigurationError, match=r"scores.finder is 'voc-shared'.*in a cascade"):
        choose_weights(["ilsvrc200", "googlenet-voc-1"], None, True, given)
    # the same network twice, one of them without a finder
    own = tmp_path / "own.safetensors"
    save_weights(own, namer.network.state_dict(), namer.record)
    with pytest.raises(WeightsError, match=r"different finders \(googlenet-voc-shared, none\)"):
        choose_weights(["ilsvrc200", own], None, False, config_of())


def test_a_record_keeps_finder_and_threshold_and_older_ones_their_checksum(tmp_path, namer):
    file = tmp_path / "own.safetensors"
    changes = {"finder": SHARED_NETWORK, "display_threshold": 0.25}
    save_weights(file, namer.network.state_dict(), namer.record.model_copy(update=changes))
    stored = load_network(file)[1]
    assert (stored.finder, stored.display_threshold) == (SHARED_NETWORK, 0.25)
    for threshold, expected in ((None, 0.25), (0.7, 0.7)):
        config = config_of(scores=EXACT, detections={"display_threshold": threshold})
        assert check_detector([file], None, False, config).display_threshold == expected
    assert Detector([namer], config=config_of()).display_threshold == 0.45
    assert load_network(find_weights(SHARED_NETWORK))[1].display_threshold is None


def test_the_200_classes_are_named_where_the_network_of_vocs_classes_finds_objects(chelsea_file):
    detector = Detector.from_pretrained("ilsvrc200")
    assert detector.proposers.shares_features, "MultiBox computes feature maps of its own"
    image = incdet.read_image(chelsea_file)
    proposals = detector.proposers.propose_by("multibox", image)
    scores = detector.score(image, proposals)
    found = detector.select(scores, image)
    assert found.labels[0] == "domestic_cat"
    assert found.scores[0] >= detector.display_threshold
    assert detector.display_threshold == load_record(find_weights("ilsvrc200")).display_threshold
    best = detector.explain(proposals, scores)[0]
    assert [network.name for network in best.networks] == ["finder", "namer"]
    assert {network.best[0][0] for network in best.networks} == {"domestic_cat"}
    described = detector.describe()
    assert described["ensemble"]["finder"] == f"{SHARED_NETWORK}.safetensors"
    assert f"{SHARED_NETWORK}.safetensors" in described["weights"]
    with pytest.raises(WeightsError, match="incdet weights calibrate"):
        Detector.from_pretrained("ilsvrc200", config=config_of(scores={"precision": "int8", "engine": "openvino"}))
