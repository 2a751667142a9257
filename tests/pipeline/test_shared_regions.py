"""Regions classified out of the feature maps of the whole photo."""

import numpy as np
import pytest
import torch

import incdet
from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.ensemble import LoadedNetwork, Member
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.photo_levels import photo_input
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.ops.boxes import apply_box_deltas
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.structures import Proposals

CPU = torch.device("cpu")
BOXES = np.array([[8, 8, 420, 299], [30, 40, 200, 260], [250, 20, 440, 180], [5, 5, 25, 25]], np.float32)


def random_network(seed=0, num_columns=4, deltas=0.005):
    torch.manual_seed(seed)
    network = GoogLeNet(num_columns)
    torch.nn.init.normal_(network.classifier.weight, std=0.1)
    network.box_regressor = BoxRegressor(network.classifier.in_features)
    torch.nn.init.normal_(network.box_regressor.linear.weight, std=deltas / 10)
    return network


def scorer_of(*networks, **settings):
    members = []
    for network in networks:
        prepared = prepare_network(network, CPU, torch.float32)
        members.append(Member(prepared, TorchBackend(prepared), 16))
    settings = {"photo_sides": (256,), "batch_size": 64, **settings}
    return SharedRegionScorer(members, Preprocessing(), device=CPU, **settings)


def config_of(**settings):
    return make_config(
        Config, {"device": "cpu", "proposals": {"limit": 24, "methods": ["selective_search"]}, **settings}, "a test"
    )


def record(features="shared", **more):
    values = {
        "classes": ("cat", "dog", "cow"),
        "background": True,
        "origin": f"a test of {features}",
        "licence": "none",
    }
    return WeightsRecord(**{**values, **more}, features=features)


@pytest.fixture(scope="module")
def image(chelsea_file):
    return incdet.read_image(chelsea_file)


def test_batches_do_not_change_what_is_found(image):
    network = random_network()
    together = scorer_of(network)(image, BOXES).scores
    one_by_one = scorer_of(network, batch_size=1)(image, BOXES).scores
    assert np.allclose(together.probabilities, one_by_one.probabilities, atol=1e-5)
    assert np.allclose(together.boxes, one_by_one.boxes, atol=1e-2)
    assert together.probabilities.std(axis=0).max() > 1e-4, "all regions look alike"


def test_no_region_is_a_result_of_no_regions(image):
    scores = scorer_of(random_network())(image, BOXES[:0]).scores
    assert scores.boxes.shape == (0, 4)
    assert scores.probabilities.shape == (0, 3)


def test_probabilities_and_box_deltas_are_means_over_the_members(image):
    networks = [random_network(seed) for seed in (1, 2)]
    first, second = (scorer_of(network)(image, BOXES).scores for network in networks)
    both = scorer_of(*networks)(image, BOXES).scores
    assert np.allclose(both.probabilities, (first.probabilities + second.probabilities) / 2, atol=1e-5)
    assert np.allclose(both.by_network, [first.probabilities, second.probabilities], atol=1e-5)
    assert not np.allclose(first.boxes, second.boxes, atol=0.1)
    # centres move by the mean shift
    centres = [(scores.boxes[1, :2] + scores.boxes[1, 2:]) / 2 for scores in (first, second, both)]
    assert np.allclose(centres[2], (centres[0] + centres[1]) / 2, atol=0.01)


def test_a_second_round_classifies_regions_where_they_have_moved(image):
    network = random_network(deltas=0.005)
    first = scorer_of(network)(image, BOXES).scores
    moved = scorer_of(network)(image, first.boxes).scores
    chosen = first.probabilities.max(axis=1) >= np.sort(first.probabilities.max(axis=1))[2]
    threshold = float(first.probabilities.max(axis=1)[chosen].min())
    assert chosen.sum() == 2
    found = scorer_of(network, rounds=2, round_min_probability=threshold)(image, BOXES).scores
    mean = (first.probabilities + moved.probabilities) / 2
    assert np.allclose(found.probabilities, np.where(chosen[:, None], mean, first.probabilities), atol=1e-5)
    assert np.allclose(found.boxes, np.where(chosen[:, None], moved.boxes, first.boxes), atol=1e-2)
    assert np.abs(moved.boxes - first.boxes)[chosen].max() > 1, "the box deltas move nothing"


def test_neighbours_of_a_better_proposal_are_left_out(image):
    network = random_network()
    # a neighbour of the first region, another one a little further away
    boxes = np.concatenate([BOXES, BOXES[:1] - [0, 0, 20, 0], BOXES[:1] - [0, 0, 150, 0]]).astype(np.float32)
    everything = scorer_of(network, rounds=2, round_min_probability=0.0)(image, boxes).scores
    found = scorer_of(network, rounds=2, round_min_probability=0.0, region_iou=0.8)(image, boxes).scores
    kept = [0, 1, 2, 3, 5]
    assert np.allclose(found.probabilities[kept], everything.probabilities[kept], atol=1e-5)
    assert np.allclose(found.boxes[kept], everything.boxes[kept], atol=1e-2)
    assert not found.probabilities[4].any()
    assert np.array_equal(found.boxes[4], boxes[4])


def test_each_region_comes_from_the_photo_in_which_its_size_suits(image):
    network = random_network()
    # sides with context of 404, 213, 203 and 23 pixels of a photo whose shorter side is 300
    sides = (128, 256, 480)
    several = scorer_of(network, photo_sides=sides)(image, BOXES).scores
    alone = [scorer_of(network, photo_sides=(side,))(image, BOXES).scores for side in sides]
    # a region of s pixels has 128 in a photo of 300 * 128 / s pixels: 95, 180, 189 and 1646
    for row, level in enumerate((0, 0, 1, 2)):
        assert np.allclose(several.probabilities[row], alone[level].probabilities[row], atol=1e-5), row
        assert np.allclose(several.boxes[row], alone[level].boxes[row], atol=0.01)
        others = [scores for number, scores in enumerate(alone) if number != level]
        assert all(np.abs(several.probabilities[row] - other.probabilities[row]).max() > 1e-4 for other in others)


def test_feature_maps_are_computed_for_the_needed_sizes_only(image, monkeypatch):
    scorer, computed = scorer_of(random_network(), photo_sides=(128, 256, 480)), []
    backend = scorer.members[0].backend
    compute = backend.photo_features
    monkeypatch.setattr(backend, "photo_features", lambda photo: computed.append(photo.shape[2]) or compute(photo))
    scorer(image, BOXES[:1])
    assert computed == [128]
    scorer(image, BOXES)
    assert sorted(computed) == [128, 128, 256, 480]


def test_the_pipeline_equals_its_parts(image):
    network = random_network()
    scores = scorer_of(network)(image, BOXES).scores
    photo, scale = photo_input(image, Preprocessing(), 256)
    assert photo.shape == (1, 3, 256, 384)
    assert scale.tolist() == pytest.approx([384 / 451, 256 / 300])
    from torchvision.ops import roi_align

    with torch.inference_mode():
        feature_maps = network.photo_features(photo)
        # boxes are enlarged by 224/192 and moved by 6.5 of 224 pixels; cell i lies at pixel 16 i + 14.5
        centres, halves = (BOXES[:, :2] + BOXES[:, 2:]) / 2, (BOXES[:, 2:] - BOXES[:, :2]) / 2 * (224 / 192)
        centres = centres + halves * 2 * 6.5 / 224
        cells = (np.concatenate([centres - halves, centres + halves], axis=1) * np.tile(scale, 2) - 14.5) / 16
        # aligned=True takes half a cell off
        regions = torch.from_numpy((cells + 0.5).astype(np.float32))
        pooled = roi_align(feature_maps, [regions], 14, aligned=True)
        outputs = network.region_head(torch.nn.functional.max_pool2d(pooled, 3, 2, ceil_mode=True))
    assert np.allclose(scores.probabilities, outputs[:, :4].softmax(dim=1)[:, :3].numpy(), atol=1e-4)
    expected = apply_box_deltas(BOXES, outputs[:, 4:].numpy(), image.width, image.height)
    assert np.allclose(scores.boxes, expected, atol=0.05)


def test_strips_and_single_pixels_have_results():
    scorer = scorer_of(random_network())
    for shape in ((1, 1, 3), (3, 900, 3), (700, 2, 3)):
        photo = incdet.read_image(np.full(shape, 128, np.uint8))
        whole = np.array([[0, 0, shape[1], shape[0]]], np.float32)
        scores = scorer(photo, whole).scores
        assert np.isfinite(scores.probabilities).all()
        assert (scores.boxes[:, 2:] <= [shape[1], shape[0]]).all()


def test_features_must_be_what_the_weights_were_trained_on():
    shared, cropped = LoadedNetwork(random_network(), record()), LoadedNetwork(random_network(), record("cropped"))
    assert Detector([shared], config=config_of()).features == "shared"
    assert Detector([cropped], config=config_of()).features == "cropped"
    with pytest.raises(WeightsError, match=r"scores\.features is cropped, but .* trained on shared features"):
        Detector([shared], config=config_of(scores={"features": "cropped"}))
    with pytest.raises(WeightsError, match=r"scores\.features is shared, but .* trained on cropped features"):
        Detector([cropped], config=config_of(scores={"features": "shared"}))
    with pytest.raises(WeightsError, match="differ in features"):
        Detector([shared, cropped], config=config_of())
    with pytest.raises(WeightsError, match="leave out the cascade"):
        Detector([shared], shared, config_of())
    with pytest.raises(ConfigurationError, match="thresholds belong to a cascade"):
        Detector([shared], config=config_of()).with_thresholds(Thresholds(0.1, 0.1))
    with pytest.raises(ConfigurationError, match="none is a rejection network"):
        Detector([cropped], config=config_of()).with_thresholds(Thresholds(0.1, 0.1))


def test_an_architecture_with_another_pooling_before_stage_5_is_refused():
    network = GoogLeNet(4, architecture=ARCHITECTURES["torchvision"])
    stored = record(architecture="torchvision")
    with pytest.raises(ConfigurationError, match="'torchvision' cannot share feature maps among regions"):
        Detector([LoadedNetwork(network, stored)], config=config_of())


def test_settings_reach_the_scorer():
    network = LoadedNetwork(random_network(), record(preprocessing=Preprocessing(photo_sides=(320,))))
    assert Detector([network], config=config_of()).scorer.photo_sides == (320,)
    scores = {"photo_sides": [256, 512], "rounds": 3, "round_min_probability": 0.2, "region_iou": 0.7, "batch_size": 5}
    scorer = Detector([network], config=config_of(scores=scores)).scorer
    assert (scorer.photo_sides, scorer.rounds, scorer.batch_size) == ((256, 512), 3, 5)
    assert (scorer.round_min_probability, scorer.region_iou) == (0.2, 0.7)
    # nothing moves without box deltas, so there is nothing to classify again
    still = Detector([network], config=config_of(scores={"rounds": 2, "box_deltas": False})).scorer
    assert (still.rounds, still.region_iou) == (1, 1.0)


def test_shipped_weights_for_shared_features_hold_their_box_regressor():
    network, stored = load_network(find_weights("googlenet-voc-shared"))
    assert stored.features == "shared"
    assert network.box_regressor is not None
    without = Detector.from_pretrained("googlenet-voc-shared", config=config_of(scores={"box_deltas": False}))
    image = incdet.read_image(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    boxes = np.array([[5, 5, 40, 50]], np.float32)
    proposals = Proposals(boxes, np.ones(1, np.float32), np.array(["a"]))
    assert np.array_equal(without.score(image, proposals).boxes, boxes)


def test_mirrored_photos_have_mirrored_answers(image):
    """Nearly: the photo's left border is padded like its right one, but ceil-mode pooling looks 1.5 pixels further."""
    scores = {"precision": "float32", "rounds": 1, "features": "shared"}
    detector = Detector.from_pretrained(config=config_of(scores=scores))
    boxes = BOXES[:3]
    proposals = Proposals(boxes, np.ones(3, np.float32), np.full(3, "a"))
    mirrored = incdet.Image(image.pixels[:, ::-1], "mirrored")
    mirrored_boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + np.array([451, 0, 451, 0])
    turned = Proposals(mirrored_boxes.astype(np.float32), proposals.scores, proposals.sources)
    found, expected = detector.score(mirrored, turned), detector.score(image, proposals)
    assert np.abs(found.probabilities - expected.probabilities).max() < 0.1
    back = found.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + np.array([451, 0, 451, 0])
    assert np.abs(back - expected.boxes).max() < 0.06 * 451
    assert expected.probabilities[0].argmax() == detector.class_names.index("cat")
