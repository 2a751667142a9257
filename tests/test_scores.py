"""Crops -> probabilities."""

import numpy as np
import pytest
import torch

from incdet.networks.googlenet import GoogLeNet
from incdet.scores import classify_batch, prepare_network, score_regions


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return [prepare_network(GoogLeNet(4), torch.device("cpu"), torch.float32) for _ in range(2)]


@pytest.fixture(scope="module")
def crops():
    return torch.randn(5, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 60


def test_probabilities_sum_to_one_and_are_averaged(networks, crops):
    first, second = (classify_batch(crops, [network]) for network in networks)
    assert torch.allclose(first.sum(dim=1), torch.ones(5), atol=1e-6)
    assert not torch.allclose(first, second, atol=1e-3)
    assert torch.allclose(classify_batch(crops, networks), (first + second) / 2, atol=1e-6)


def test_background_is_dropped_and_batches_do_not_matter(networks, crops):
    whole = score_regions([crops], networks, 3)
    assert whole.shape == (5, 3)
    assert (whole.sum(axis=1) < 1).all()
    parts = score_regions(crops.split(2), networks, 3)
    assert np.allclose(whole, parts, atol=1e-5)
    turned = score_regions([crops.flip(0)], networks, 3)
    assert np.allclose(whole, turned[::-1], atol=1e-5)


def test_no_regions_no_rows(networks):
    assert score_regions([], networks, 3).shape == (0, 3)


def test_prepared_networks_keep_no_gradients(networks):
    assert not any(parameter.requires_grad for parameter in networks[0].parameters())
    assert not networks[0].training
