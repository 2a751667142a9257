"""The network on shared features in training: its box regressor, the order of regions, hard regions."""

import pytest
import torch

from incdet.networks.box_regression import BoxRegressor
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.region_pooling import pool_regions
from incdet.training.region_losses import RegionLessons
from incdet.training.shared_network import (
    DELTA_SCALE,
    RegionOutputs,
    ScaledBoxRegressor,
    SharedNetwork,
    plain_network,
)

REGIONS = torch.tensor([[[0, 0, 5, 5], [2, 1, 6, 6.0], [1, 3, 4, 7]], [[0, 2, 6, 6], [3, 3, 7, 7], [0, 0, 7, 7]]])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    googlenet = GoogLeNet(4)
    googlenet.box_regressor = ScaledBoxRegressor.drawn(1024, seed=1)
    return SharedNetwork(googlenet).eval()


@pytest.fixture(scope="module")
def photos():
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(1, 3, *size, generator=generator) * 50 for size in ((128, 96), (96, 128))]


def test_folding_changes_the_weights_and_not_the_answers():
    regressor = ScaledBoxRegressor.drawn(16, seed=3)
    torch.nn.init.normal_(regressor.linear.bias)
    features = torch.randn(5, 16, 7, 7)
    scale = torch.tensor(DELTA_SCALE)
    assert torch.allclose(regressor.folded()(features), regressor(features) * scale, atol=1e-6)
    assert type(regressor.folded()) is BoxRegressor
    again = ScaledBoxRegressor.unfolded(regressor.folded())
    assert torch.allclose(again.linear.weight, regressor.linear.weight, atol=1e-8)
    assert torch.allclose(again.linear.bias, regressor.linear.bias, atol=1e-6)


def test_every_region_gets_the_answer_that_inference_gives(network, photos):
    plain = plain_network(network)
    assert isinstance(network.googlenet.box_regressor, ScaledBoxRegressor)
    with torch.no_grad():
        outputs = network(photos, REGIONS)
        for number, photo in enumerate(photos):
            expected = plain.region_head(pool_regions(plain.photo_features(photo), REGIONS[number]))
            assert torch.allclose(outputs.logits[number], expected[:, :4], atol=1e-4)
            deltas = outputs.box_deltas[number] * torch.tensor(DELTA_SCALE)
            assert torch.allclose(deltas, expected[:, 4:], atol=1e-5)
    assert outputs.rows is None


def test_feature_maps_may_be_given_instead_of_photos(network, photos):
    with torch.no_grad():
        maps = [network.googlenet.photo_features(photo) for photo in photos]
        assert torch.equal(network(maps, REGIONS, True).logits, network(photos, REGIONS).logits)


def lessons():
    """Three regions of each of two photos; the network of `answers` is right about the first one of the first photo."""
    targets = torch.eye(3)[torch.tensor([[0, 1, 2], [2, 2, 0]])]
    return RegionLessons(targets, torch.full((2, 3, 4), 0.2), torch.tensor([[True, False, False]] * 2), 1.0)


def answers():
    logits = torch.tensor([[[9, 0, 0], [9, 0, 0.0], [4, 0, 0]], [[0, 0, 1], [0, 0, 9], [0, 0, 5]]])
    box_deltas = torch.zeros(2, 3, 4)
    box_deltas[:, 0] = torch.tensor([2.0, 2.5, 1.0, 0.8])
    return RegionOutputs(logits, box_deltas, None)


def test_losses_are_those_of_classes_and_of_box_deltas_of_regions_that_teach_them():
    losses = lessons().losses(answers())
    assert losses.cross_entropy[0, 0] == pytest.approx(0, abs=1e-3)
    assert losses.cross_entropy[0, 1] == pytest.approx(9, abs=1e-3)
    # 0.2 / 0.1 and 0.2 / 0.2 are wanted: the second is off by 0.5, the fourth by 0.2, halved when squared
    assert losses.box[:, 0].tolist() == pytest.approx([0.5**2 / 2 + 0.2**2 / 2] * 2, abs=1e-6)
    assert (losses.box[:, 1:] == 0).all()


def test_hard_regions_are_those_with_the_highest_loss():
    found = lessons()
    assert found.hardest(answers(), 1).tolist() == [[1], [2]]
    assert found.hardest(answers(), 2).tolist() == [[1, 2], [0, 2]]
    chosen = found.chosen(torch.tensor([[1], [2]]))
    assert chosen.targets.argmax(dim=2).tolist() == [[1], [0]]
    assert chosen.box_deltas.shape == (2, 1, 4)
    assert not chosen.teaches_box.any()


def test_only_chosen_regions_are_answered_with_gradients(network, photos):
    seen = []

    def choose(outputs):
        seen.append(outputs)
        return torch.tensor([[0, 2], [1, 2]])

    outputs = network(photos, REGIONS, choose=choose)
    (candidates,) = seen
    assert candidates.logits.shape == (2, 3, 4)
    assert not candidates.logits.requires_grad
    assert outputs.rows.tolist() == [[0, 2], [1, 2]]
    assert torch.allclose(outputs.logits[1], candidates.logits[1, [1, 2]], atol=1e-4)
    assert outputs.logits.requires_grad


def test_candidates_are_judged_without_dropout_and_modes_stay(network, photos):
    network.train()
    network.googlenet.conv1.eval()
    found = []
    network(photos, REGIONS, choose=lambda outputs: found.append(outputs.logits) or torch.tensor([[0], [0]]))
    assert network.googlenet.dropout.training
    assert not network.googlenet.conv1.training
    network.eval()
    with torch.no_grad():
        assert torch.allclose(found[0], network(photos, REGIONS).logits, atol=1e-4)
