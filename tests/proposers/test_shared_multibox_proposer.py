"""MultiBox on shared feature maps as a proposer: alone, and from the feature maps of a detector."""

import shutil

import numpy as np
import pytest
import torch

from incdet.config.loading import make_config
from incdet.config.sections import Config, MultiBoxConfig, ScoresConfig
from incdet.detector import Detector
from incdet.errors import WeightsError
from incdet.images import read_image
from incdet.networks.photo_levels import PhotoLevel
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import activation_ranges_file
from incdet.ops.boxes import box_iou, flip_boxes
from incdet.proposals import Proposers
from incdet.proposers import shared_multibox_proposer
from incdet.proposers.shared_multibox_proposer import (
    NetworkLevels,
    SharedMultiBoxProposer,
    feature_map_key,
    select_best,
)
from incdet.runtime.stopwatch import Stopwatch
from incdet.structures import Image

WEIGHTS = "multibox-voc-shared"
SIDES = (192, 256, 384)
"""Smaller photos than those of the weights, which take seconds."""
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def image(chelsea_file):
    return read_image(chelsea_file)


@pytest.fixture(scope="module")
def proposer():
    return SharedMultiBoxProposer(MultiBoxConfig(weights=WEIGHTS, photo_sides=SIDES), CPU)


def test_boxes_are_cut_ranked_and_rid_of_near_duplicates():
    photo = Image(np.zeros((100, 200, 3), np.uint8))
    boxes = np.array([[-9, 10, 50, 60], [100, 50, 180, 90], [102, 50, 180, 90], [210, 0, 280, 99]], np.float32)
    found = select_best(photo, boxes, np.array([0.2, 0.6, 0.9, 0.95], np.float32), MultiBoxConfig())
    assert found.boxes.tolist() == [[102, 50, 180, 90], [0, 10, 50, 60]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.2])
    assert len(select_best(photo, boxes, np.ones(4, np.float32), MultiBoxConfig(limit=1))) == 1


def test_the_best_boxes_hold_the_cat_and_those_of_the_mirrored_photo_its_mirror_image(proposer, image):
    found = proposer(image)
    assert len(found) == 200
    assert np.array_equal(found.boxes, proposer(image).boxes)
    mirrored = proposer(Image(np.ascontiguousarray(image.pixels[:, ::-1])))
    back = flip_boxes(mirrored.boxes[:5], image.width)
    assert box_iou(found.boxes[:1], back).max() > 0.7
    # the cat fills the photo
    cat = np.array([[5, 5, image.width - 5, image.height - 5]], np.float32)
    assert box_iou(cat, found.boxes[:20]).max() > 0.6


def test_a_small_and_a_strange_photo_have_boxes_within_them(proposer):
    for width, height in ((40, 30), (600, 12)):
        found = proposer(Image(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)))
        assert found.boxes.min() >= 0
        assert found.boxes[:, 2].max() <= width
        assert found.boxes[:, 3].max() <= height


def test_weights_of_other_feature_maps_are_refused(monkeypatch):
    monkeypatch.setattr(NetworkLevels, "__init__", lambda self, name, device, scores: self.__dict__.update(file=name))
    monkeypatch.setattr(NetworkLevels, "signature", (1.0,), raising=False)
    with pytest.raises(WeightsError, match="feature maps of another network than googlenet-voc-shared"):
        SharedMultiBoxProposer(MultiBoxConfig(weights=WEIGHTS), CPU)


def test_a_detector_computes_feature_maps_once_for_proposals_and_regions(image, proposer, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the feature maps are computed a second time")

    monkeypatch.setattr(shared_multibox_proposer, "NetworkLevels", refuse)
    values = {"device": "cpu", "scores": {"features": "shared", "photo_sides": SIDES}}
    values["proposals"] = {"methods": ["multibox"], "multibox": {"weights": WEIGHTS, "photo_sides": SIDES}}
    detector = Detector.from_pretrained(config=make_config(Config, values, "a test"))
    assert detector.proposers.shares_features
    computed = []
    backend = detector.scorer.members[0].backend
    compute = backend.photo_features
    monkeypatch.setattr(backend, "photo_features", lambda photo: computed.append(photo.shape) or compute(photo))
    proposals, watch = detector.propose(image), Stopwatch()
    assert np.array_equal(proposals.boxes, proposer(image).boxes)
    assert len(computed) == 3
    scores = detector.score(image, proposals, watch)
    assert len(computed) == 3
    assert list(watch.seconds) == ["features", "regions", "scores"]
    assert len(scores.boxes) == len(proposals)
    # nothing is left of a photo that has been classified
    assert detector.scorer.store.shared_seconds(image) == 0
    (streamed,) = detector.photo_results([image.pixels])
    assert streamed.result.seconds["proposals"] < streamed.result.seconds["features"]
    assert len(computed) == 6
    # the time of what somebody has computed before is not taken from that of the proposals
    detector.propose(image)
    (streamed,) = detector.photo_results([image])
    assert streamed.result.seconds["proposals"] > 0
    assert len(computed) == 9
    # nor of one that nobody has any more
    detector.propose(Image(image.pixels))
    assert len(computed) == 12
    assert not detector.scorer.store._photos


def test_other_feature_maps_of_a_detector_are_not_read(image):
    class OtherLevels:
        signature = (0.5,)

        def __call__(self, image, photo_sides):
            return [PhotoLevel(np.ones(2, np.float32), torch.zeros(1, 832, 8, 8))]

    config = make_config(Config, {"proposals": {"methods": ["multibox"], "multibox": {"weights": WEIGHTS}}}, "a test")
    proposers = Proposers(config.proposals, "cpu", OtherLevels())
    assert not proposers.shares_features
    assert proposers.shared_seconds(image) == 0
    assert [file.stem for file in proposers.files] == [WEIGHTS, "googlenet-voc-shared"]


class BrokenLevels(NetworkLevels):
    """The feature maps of the network, none of them a number."""

    def __call__(self, image, photo_sides):
        levels = super().__call__(image, photo_sides)
        return [PhotoLevel(level.scale, level.feature_maps * float("nan")) for level in levels]


class RoundedLevels(NetworkLevels):
    """The feature maps of the network in bfloat16, as a detector of this precision has them."""

    def __call__(self, image, photo_sides):
        levels = super().__call__(image, photo_sides)
        return [PhotoLevel(level.scale, level.feature_maps.bfloat16()) for level in levels]


def test_feature_maps_in_bfloat16_are_read_by_layers_in_float32(proposer, image):
    levels = RoundedLevels("googlenet-voc-shared", CPU, ScoresConfig())
    rounded = SharedMultiBoxProposer(MultiBoxConfig(weights=WEIGHTS, photo_sides=SIDES), CPU, levels)
    rounded.precision = torch.float32
    assert box_iou(rounded(image).boxes[:1], proposer(image).boxes[:20]).max() > 0.8


def test_feature_maps_that_are_no_numbers_are_told(image):
    levels = BrokenLevels("googlenet-voc-shared", CPU, ScoresConfig())
    with pytest.raises(WeightsError, match="not finite"):
        SharedMultiBoxProposer(MultiBoxConfig(weights=WEIGHTS, photo_sides=SIDES), CPU, levels)(image)


def test_the_key_of_feature_maps_tells_precisions_and_ranges_apart(tmp_path, proposer, monkeypatch):
    def key(**scores):
        return feature_map_key(proposer.network.description, CPU, ScoresConfig(engine="torch", **scores))

    assert key(precision="float32") == key(precision="float32", rounds=1) != key(precision="bfloat16")
    shipped = find_weights("googlenet-voc-shared")
    for file in (shipped, activation_ranges_file(shipped)):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(shared_multibox_proposer, "find_weights", lambda name: tmp_path / shipped.name)
    monkeypatch.setattr(shared_multibox_proposer, "may_take_ranges", lambda scores: True)
    before = key(precision="float32")
    with activation_ranges_file(tmp_path / shipped.name).open("a") as stream:
        stream.write("\n")
    assert key(precision="float32") != before
