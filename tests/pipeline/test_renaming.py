"""A namer, which says once more which class the objects are that other networks have found."""

import numpy as np
import pytest
from test_shared_regions import BOXES, config_of, random_network, record

import incdet
from incdet.detector import Detector
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.chosen_weights import choose_weights
from incdet.networks.common_classes import common_classes_of
from incdet.networks.ensemble import LoadedNetwork
from incdet.networks.shipped_weights import NAMING_NETWORK, find_weights, shipped_networks
from incdet.networks.weights_record import Preprocessing
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.renaming import NAMER_SHARE
from incdet.pipeline.scene import scene_factors, scene_views
from incdet.structures import Proposals

EXACT = {"precision": "float32", "engine": "torch", "region_iou": 1.0, "scene_exponent": 0.0}

FINDER_COLUMNS, NAMER_COLUMNS = [0, 2], [1, 2]
"""Columns of "cat" and "cattle" in the probabilities of `front`, and of "cat" and "cow" in those of `namer`."""


@pytest.fixture(scope="module")
def image(chelsea_file):
    return incdet.read_image(chelsea_file)


@pytest.fixture(scope="module")
def front():
    """Three classes, one of which the namer calls "cow" and one of which it does not know."""
    stored = record(classes=("cat", "bottle", "cattle"), preprocessing=Preprocessing(photo_sides=(320,)))
    return LoadedNetwork(random_network(1), stored)


@pytest.fixture(scope="module")
def namer():
    """Three classes; it sees photos of another size than the network in front."""
    stored = record(
        classes=("dog", "cat", "cow"), preprocessing=Preprocessing(photo_sides=(256,)), other_names={"cattle": "cow"}
    )
    return LoadedNetwork(random_network(2), stored)


def detector_of(front, namer=None, **scores):
    return Detector([front], config=config_of(scores=EXACT | scores), namer=namer)


def classify(detector, image, boxes):
    rank = np.linspace(1, 0.5, len(boxes), dtype=np.float32)
    return detector.score(image, Proposals(boxes, rank, np.full(len(boxes), "a")))


def test_the_namer_divides_what_the_others_have_found_among_the_common_classes(image, front, namer):
    found = classify(detector_of(front), image, BOXES)
    is_object = found.probabilities[:, FINDER_COLUMNS].sum(axis=1)
    # two regions on either side of the threshold
    threshold = float(np.sort(is_object)[1:3].mean())
    rows = np.flatnonzero(is_object >= threshold)
    assert len(rows) == 2
    named = classify(detector_of(namer, rounds=1), image, found.boxes[rows]).probabilities[:, NAMER_COLUMNS]

    scores = classify(detector_of(front, namer, min_probability=threshold), image, BOXES)
    renamed = found.probabilities.copy()
    for place, row in enumerate(rows):
        renamed[row, FINDER_COLUMNS] = is_object[row] * named[place] / named[place].sum()
    expected = (1 - NAMER_SHARE) * found.probabilities + NAMER_SHARE * renamed
    assert scores.probabilities == pytest.approx(expected, abs=1e-5)
    assert np.abs(scores.probabilities - found.probabilities)[rows].max() > 1e-3, "nothing was named"
    assert np.array_equal(scores.boxes, found.boxes)
    assert scores.by_network == pytest.approx(np.stack([found.probabilities, renamed]), abs=1e-5)
    # the class that the namer does not know, and the probability of any object
    assert scores.probabilities[:, 1] == pytest.approx(found.probabilities[:, 1], abs=1e-5)
    assert scores.probabilities.sum(axis=1) == pytest.approx(found.probabilities.sum(axis=1), abs=1e-5)


@pytest.mark.parametrize("num_named", [0, 2, 4])
def test_classes_that_the_whole_photo_shows_less_lose_probability(image, front, namer, num_named):
    is_object = classify(detector_of(front), image, BOXES).probabilities[:, FINDER_COLUMNS].sum(axis=1)
    steps = [1.0, *np.sort(is_object)[::-1], 0.0]
    thresholds = {"min_probability": float(steps[num_named] + steps[num_named + 1]) / 2}
    assert (is_object >= thresholds["min_probability"]).sum() == num_named
    plain = classify(detector_of(front, namer, **thresholds), image, BOXES)
    scores = classify(detector_of(front, namer, **thresholds, scene_exponent=0.5), image, BOXES)
    scene = classify(detector_of(namer, rounds=1), image, scene_views(image)).probabilities[:, NAMER_COLUMNS]
    factors = np.ones(3, np.float32)
    factors[FINDER_COLUMNS] = scene_factors(scene, 0.5)
    assert factors.min() < 0.9, "the scene changes nothing"
    assert scores.probabilities == pytest.approx(plain.probabilities * factors, abs=1e-5)
    # the namer sees the scene, the networks in front do not
    assert scores.by_network[-1] == pytest.approx(plain.by_network[-1] * factors, abs=1e-5)
    assert np.array_equal(scores.by_network[0], plain.by_network[0])
    assert np.array_equal(scores.boxes, plain.boxes)
    # an explanation tells regions that the namer has not named by this
    unnamed = (scores.by_network[-1] == scores.probabilities).all(axis=1)
    assert np.array_equal(unnamed, is_object < thresholds["min_probability"])


def test_a_photo_without_proposals_has_no_scene(image, front, namer):
    detector = detector_of(front, namer, scene_exponent=0.5)
    rank, sources = np.zeros(0, np.float32), np.full(0, "a")
    scored = detector.scorer(image, BOXES[:0])
    assert scored.scores.probabilities.shape == (0, 3)
    assert "features" not in scored.seconds, "feature maps were computed for nothing"
    assert len(detector.select(detector.score(image, Proposals(BOXES[:0], rank, sources)), image)) == 0


def test_the_smallest_photo_has_a_scene(front, namer):
    image = incdet.read_image(np.full((1, 1, 3), 128, np.uint8))
    box = np.array([[0, 0, 1, 1]], np.float32)
    found, scores = (classify(detector_of(front, namer, scene_exponent=x), image, box) for x in (0.0, 0.5))
    assert (scores.probabilities <= found.probabilities).all()
    assert (scores.probabilities > 0).all()


def test_the_size_of_the_photo_that_is_set_is_not_that_of_the_namer(front, namer):
    scorer = detector_of(front, namer, photo_sides=[400]).scorer
    assert list(scorer.scorer.photo_sides) == [400]
    assert list(scorer.namer.photo_sides) == [256]


def test_no_region_reaches_the_namer(image, front, namer):
    found = classify(detector_of(front), image, BOXES)
    detector = detector_of(front, namer).with_thresholds(Thresholds(1.0))
    assert np.array_equal(classify(detector, image, BOXES).probabilities, found.probabilities)
    assert classify(detector, image, BOXES[:0]).probabilities.shape == (0, 3)


def test_a_namer_stands_behind_a_cascade_too(image, front, namer):
    on_crops = LoadedNetwork(random_network(3), record("cropped", classes=front.record.classes))
    config = config_of(scores=EXACT)
    cascade = Detector([on_crops], front, config)
    detector = Detector([on_crops], front, config, namer=namer)
    assert list(detector.scorer.network_names) == ["rejection network", "member 1", "namer"]
    assert detector.scorer.shared_scorer.preprocessing.photo_sides == (320,)
    found, scores = (classify(one, image, BOXES) for one in (cascade, detector))
    assert np.array_equal(scores.by_network[:2], found.by_network)
    expected = (1 - NAMER_SHARE) * found.probabilities + NAMER_SHARE * scores.by_network[2]
    assert scores.probabilities == pytest.approx(expected, abs=1e-6)
    assert np.abs(scores.by_network[2] - found.probabilities).max() > 1e-3, "nothing was named"
    assert "names what they find" in detector.scorer.describe()
    in_scene = classify(
        Detector([on_crops], front, config_of(scores=EXACT | {"scene_exponent": 0.5}), namer=namer), image, BOXES
    )
    ratios = in_scene.probabilities / scores.probabilities
    assert np.allclose(ratios, ratios[0], rtol=1e-4), "one factor for each class of a photo"
    assert ratios.min() < 0.9
    # thresholds reach both parts
    strict = detector.with_thresholds(Thresholds(1.0, 0.0)).scorer
    assert (strict.min_probability, strict.scorer.min_probability) == (1.0, 1.0)


def test_networks_that_cannot_name_are_refused(front, namer):
    for change, words in (
        ({"features": "cropped"}, "the namer was trained on cropped features.*googlenet-voc-namer"),
        ({"background": False}, "no background column"),
        ({"classes": ("lamp", "harp", "fig")}, "knows none of the classes of the other weights, cat and so on"),
        ({"classes": ("cat", "harp", "fig")}, "knows 1 of the classes of the other weights, cat and so on"),
    ):
        other = LoadedNetwork(namer.network, namer.record.model_copy(update=change))
        with pytest.raises(WeightsError, match=words):
            detector_of(front, other)
    with pytest.raises(ConfigurationError, match="take no namer"):
        Detector([namer], config=config_of(scores=EXACT), finder=front, namer=namer)


def test_two_classes_of_one_meaning_are_named_once():
    stored = record(classes=("cow", "cattle", "cat"))
    namer = record(classes=("cat", "cow"), other_names={"cattle": "cow"})
    assert [tuple(pair) for pair in common_classes_of(stored, namer)] == [(0, 1), (2, 0)]


def test_the_default_alone_has_a_namer(tmp_path):
    def chosen(*weights, cascade=False, **settings):
        return choose_weights(weights, None, cascade, config_of(scores=settings)).namer

    shipped = find_weights(NAMING_NETWORK)
    assert chosen() == shipped
    assert chosen(namer="none") is None
    for features in ("shared", "cropped"):
        assert chosen(features=features) is None
        assert chosen(features=features, namer="voc-namer") == shipped
    assert chosen("voc-shared") is None
    assert chosen("voc-shared", namer="ilsvrc200") == find_weights("ilsvrc200")
    assert chosen("voc-shared", "voc-1", cascade=True, namer="voc-namer") == shipped
    # it is none of the members
    assert NAMING_NETWORK not in shipped_networks("auto")
    with pytest.raises(WeightsError, match=r"no\.safetensors"):
        chosen(namer=str(tmp_path / "no.safetensors"))
    with pytest.raises(ConfigurationError, match=r"scores.namer is 'ilsvrc200'.*a finder finds already"):
        chosen("ilsvrc200", namer="ilsvrc200")


def test_a_namer_of_200_classes_names_what_the_shipped_networks_find(image):
    detector = Detector.from_pretrained("voc-shared", config=config_of(scores={"namer": "ilsvrc200"}))
    proposals = detector.propose(image)
    scores = detector.score(image, proposals)
    found = detector.select(scores, image)
    assert found.labels[0] == "cat"
    best = detector.explain(proposals, scores)[0]
    assert [network.name for network in best.networks] == ["member 1", "namer"]
    assert {network.best[0][0] for network in best.networks} == {"cat"}
    described = detector.describe()
    assert described["ensemble"]["namer"] == "googlenet-ilsvrc200.safetensors"
    assert "googlenet-ilsvrc200.safetensors" in described["weights"]
