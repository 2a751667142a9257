"""Crops -> probabilities, by one network, by several, and behind a first stage."""

import copy

import numpy as np
import pytest
import torch

from incdet import scores
from incdet.networks.googlenet import GoogLeNet
from incdet.scores import Ensemble, prepare_network, score_regions


def prepared(network):
    return prepare_network(network, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def networks():
    """Three that differ; the last two share stages 1 to 3."""
    torch.manual_seed(0)
    first, second = (prepared(GoogLeNet(4)) for _ in range(2))
    third = copy.deepcopy(second)
    torch.nn.init.normal_(third.classifier.weight, std=0.05)
    return first, second, third


@pytest.fixture(scope="module")
def crops():
    return torch.randn(5, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 60


def test_probabilities_sum_to_one_and_are_averaged(networks, crops):
    first, second, third = (Ensemble([network])(crops) for network in networks)
    assert torch.allclose(first.sum(dim=1), torch.ones(5), atol=1e-6)
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(second, third, atol=1e-3)
    assert torch.allclose(Ensemble(networks)(crops), (first + second + third) / 3, atol=1e-6)


def test_shared_stages_run_once(networks, crops, monkeypatch):
    runs = []
    original = GoogLeNet.trunk_maps
    monkeypatch.setattr(GoogLeNet, "trunk_maps", lambda self, inputs: runs.append(self) or original(self, inputs))
    Ensemble(networks)(crops)
    assert runs == [networks[0], networks[1]]
    runs.clear()
    score_regions([crops], Ensemble(networks[2:], networks[1]), 3)
    assert runs == [networks[1]]


def test_background_is_dropped_and_batches_do_not_matter(networks, crops):
    ensemble = Ensemble(networks[:2])
    whole = score_regions([crops], ensemble, 3)
    assert whole.shape == (5, 3)
    assert (whole.sum(axis=1) < 1).all()
    parts = score_regions(crops.split(2), ensemble, 3)
    assert np.allclose(whole, parts, atol=1e-5)
    turned = score_regions([crops.flip(0)], ensemble, 3)
    assert np.allclose(whole, turned[::-1], atol=1e-5)


def test_rows_that_fill_a_batch_change_nothing(networks, crops):
    many = crops.repeat(2, 1, 1, 1)
    assert torch.allclose(Ensemble(networks)(many), Ensemble(networks)(crops).repeat(2, 1), atol=1e-5)


@pytest.mark.parametrize("later_batch", [2, 64])
def test_only_regions_that_pass_the_first_stage_reach_the_members(networks, crops, monkeypatch, later_batch):
    monkeypatch.setattr(scores, "LATER_BATCH", later_batch)
    first = score_regions([crops], Ensemble(networks[:1]), 3)
    members = score_regions([crops], Ensemble(networks[1:]), 3)
    gate = float(np.sort(first.max(axis=1))[1:3].mean())
    passed = first.max(axis=1) >= gate
    assert passed.sum() == 3
    expected = np.where(passed[:, None], members, first)
    for batches in ([crops], crops.split(2), crops.split(1)):
        found = score_regions(batches, Ensemble(networks[1:], networks[0], gate), 3)
        assert np.allclose(found, expected, atol=1e-5)
    assert np.allclose(score_regions([crops], Ensemble(networks[1:], networks[0], 0.0), 3), members, atol=1e-5)
    assert np.allclose(score_regions([crops], Ensemble(networks[1:], networks[0], 1.0), 3), first, atol=1e-5)


def test_no_regions_no_rows(networks):
    assert score_regions([], Ensemble(networks[:1]), 3).shape == (0, 3)
    assert score_regions([], Ensemble(networks[1:], networks[0]), 3).shape == (0, 3)


def test_prepared_networks_keep_no_gradients(networks):
    assert not any(parameter.requires_grad for parameter in networks[0].parameters())
    assert not networks[0].training
