"""Sidecar files of weights: what is written is found, and what does not fit is refused."""

import numpy as np
import pytest
import torch
from box_regressors import regressor_of
from random_boxes import random_pixel_boxes

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.errors import WeightsError
from incdet.networks.shipped_weights import find_weights, shipped_weights
from incdet.networks.sidecar_files import box_regressor_file, load_box_regressor, save_box_regressor
from incdet.networks.weights import load_record, read_tensors, save_weights
from incdet.structures import Proposals


@pytest.mark.slow
def test_a_regression_lies_beside_its_weights(own_weights, astronaut):
    assert load_box_regressor(own_weights, 1024) is None
    boxes = random_pixel_boxes(np.random.default_rng(0), 5) * 4
    proposals = Proposals(boxes, np.ones(5, np.float32), np.full(5, "multibox"))
    # in bfloat16 another network around the same layers rounds elsewhere
    exact = make_config(Config, {"scores": {"precision": "float32"}}, "")
    before = Detector.from_pretrained(own_weights, config=exact)
    assert before.score(astronaut, proposals).boxes.tolist() == boxes.tolist()
    beside = save_box_regressor(own_weights, regressor_of(0), {"penalty": 1.0})
    assert beside == box_regressor_file(own_weights)
    loaded = load_box_regressor(own_weights, 1024)
    assert torch.equal(loaded.linear.weight, regressor_of(0).linear.weight.half().float())
    after = Detector.from_pretrained(own_weights, config=exact)
    assert after.origin.hashes.keys() - before.origin.hashes.keys() == {beside.name}
    # what is known of the weights may change, the weights may not
    record = load_record(own_weights).model_copy(update={"measured": {"mAP": 0.5}})
    save_weights(own_weights, read_tensors(own_weights), record)
    assert load_box_regressor(own_weights, 1024) is not None
    scores = after.score(astronaut, proposals)
    assert np.allclose(scores.probabilities, before.score(astronaut, proposals).probabilities, atol=1e-5)
    assert np.abs(scores.boxes - boxes).max() > 1
    without = Detector.from_pretrained(own_weights, config=make_config(Config, {"scores": {"box_deltas": False}}, ""))
    assert without.score(astronaut, proposals).boxes.tolist() == boxes.tolist()
    assert without.origin.hashes.keys() == before.origin.hashes.keys()


def test_a_regression_of_other_weights_or_a_damaged_one_is_refused(own_weights):
    beside = save_box_regressor(own_weights, regressor_of(0), {})
    content = beside.read_bytes()
    own_weights.write_bytes(find_weights("googlenet-voc-3").read_bytes())
    with pytest.raises(WeightsError, match="fitted to other weights"):
        Detector.from_pretrained(own_weights)
    for damaged in (b"", content[:100], b"{}", own_weights.read_bytes()):
        beside.write_bytes(damaged)
        with pytest.raises(WeightsError, match="incdet weights fit-boxes"):
            load_box_regressor(own_weights, 1024)


def test_a_regression_for_another_network_is_refused(own_weights):
    save_box_regressor(own_weights, regressor_of(0, channels=512), {})
    with pytest.raises(WeightsError, match="9216"):
        Detector.from_pretrained(own_weights)


def test_regressions_are_no_weights_of_their_own():
    assert not [name for name in shipped_weights() if "boxes" in name]
    assert box_regressor_file(find_weights("googlenet-voc")).exists()
