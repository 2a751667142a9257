"""Box deltas in the cascade: regions move between its stages."""

import copy

import numpy as np
import pytest
import torch
from box_regressors import regressor_of
from cascades import SMALL, cascade_of, member_of, regions_of
from random_boxes import random_pixel_boxes

from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.ensemble import Ensemble
from incdet.networks.googlenet import GoogLeNet
from incdet.regions import RegionCropper

CPU = torch.device("cpu")


@pytest.mark.slow
def test_regions_move_before_the_next_stage(astronaut):
    """The rejection network moves all regions; the members see those that pass where they then lie, and move them."""
    torch.manual_seed(0)
    first, plain, member, other = (prepare_network(GoogLeNet(4), CPU, torch.float32) for _ in range(4))
    first.box_regressor, member.box_regressor, other.box_regressor = (regressor_of(seed) for seed in (1, 2, 3))
    boxes = random_pixel_boxes(np.random.default_rng(0), 6) * 4

    def scored(cascade, regions=boxes):
        (photo,) = regions_of([(astronaut, regions)], cascade, batch_size=4)
        return photo.scores()

    unmoved = scored(cascade_of([plain]))
    assert unmoved.boxes.tolist() == boxes.tolist()
    moved = scored(cascade_of([first]))
    assert np.abs(moved.boxes - boxes).max() > 5
    threshold = float(np.median(moved.probabilities.max(axis=1)))
    passed = moved.probabilities.max(axis=1) >= threshold
    assert 0 < passed.sum() < len(boxes)
    # shares stages 1 to 3 with the rejection network, whose feature maps are of the regions as proposed
    related = copy.deepcopy(first)
    related.box_regressor = None
    torch.nn.init.normal_(related.classifier.weight, std=0.05)
    for members in ([plain], [member, other], [first, plain], [related]):
        alone = scored(cascade_of(members), moved.boxes)
        found = scored(cascade_of(members, first, (threshold, 0)))
        expected = np.where(passed[:, None], alone.probabilities, moved.probabilities)
        assert found.probabilities == pytest.approx(expected, abs=1e-4)
        assert found.boxes == pytest.approx(np.where(passed[:, None], alone.boxes, moved.boxes), abs=0.02)
    crops = {16: RegionCropper(astronaut, SMALL, CPU).crop(boxes)}
    groups = ([member], [other], [member, plain, other])
    one, two, mean = (Ensemble([member_of(each) for each in group])(crops).box_deltas for group in groups)
    assert torch.allclose(mean, (one + two) / 2, atol=1e-5)


def test_the_half_resolution_stage_moves_nothing(astronaut):
    torch.manual_seed(0)
    first, member = (prepare_network(GoogLeNet(4), CPU, torch.float32) for _ in range(2))
    first.box_regressor = regressor_of(1)
    boxes = random_pixel_boxes(np.random.default_rng(0), 6) * 4
    (photo,) = regions_of([(astronaut, boxes)], cascade_of([member], first, (0, 1)), batch_size=4)
    assert photo.boxes.tolist() == boxes.tolist()
    (photo,) = regions_of([(astronaut, boxes)], cascade_of([member], first, (0, 0.1)), batch_size=4)
    assert (photo.boxes != boxes).any()
