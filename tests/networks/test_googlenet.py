"""GoogLeNet: parameters, logits, sizes, variants."""

import pytest
import torch

from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.exporters.exported_networks import last_side
from incdet.networks.googlenet import GoogLeNet


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_table_1():
    network = GoogLeNet(1000, auxiliary=True)
    heads = count(network.auxiliary_4a), count(network.auxiliary_4d)
    assert heads == (3_188_840, 3_190_888)
    assert count(network) == 13_378_280
    assert count(GoogLeNet(1000)) == 6_998_552


@pytest.mark.parametrize("num_classes", [1, 21, 201])
def test_logits_have_a_column_per_class(num_classes):
    network = GoogLeNet(num_classes, auxiliary=True).eval()
    with torch.inference_mode():
        logits = network(torch.randn(2, 3, 224, 224))
    assert [tuple(part.shape) for part in logits] == [(2, num_classes)] * 3
    assert network.num_classes == num_classes


def test_without_auxiliary_heads_their_logits_are_none_in_both_modes():
    network = GoogLeNet(5, dropout=0)
    crops = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        training, inference = network.train()(crops), network.eval()(crops)
    assert training.auxiliary_4a is training.auxiliary_4d is None
    assert torch.equal(training.main, inference.main)


def test_pooling_rounds_up_as_in_table_1():
    sizes = {}
    network = GoogLeNet(2).eval()
    layers = {"conv1": 112, "conv2": 56, "inception_3a": 28, "inception_4a": 14, "inception_5a": 7}
    for name in layers:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: sizes.__setitem__(name, out.shape[2]))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 224, 224))
    assert sizes == layers


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_variant_has_main_and_auxiliary_logits(name):
    network = GoogLeNet(7, auxiliary=True, architecture=ARCHITECTURES[name]).eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, 224, 224))
    assert [tuple(part.shape) for part in logits] == [(1, 7)] * 3
    assert all(part.isfinite().all() for part in logits)


@pytest.mark.parametrize("size", [224, 225, 240, 299])
def test_sides_of_feature_maps_are_those_that_are_stated(size):
    """The first convolution rounds its half of a side up, and every pooling rounds its half down."""
    network, crops = GoogLeNet(2).eval(), torch.zeros(1, 3, size, size)
    half = -(-size // 2)
    with torch.no_grad():
        assert network.trunk(crops).shape[2:] == (half // 8,) * 2
        assert network.last_feature_maps(crops).shape[2:] == (half // 16,) * 2
    assert last_side(network, size) == half // 16


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_width_of_shared_feature_maps_is_known_without_the_network(name):
    with torch.device("meta"):
        network = GoogLeNet(2, architecture=ARCHITECTURES[name])
    last = network.get_submodule(f"inception_{network.modules_of('4')[-1]}")
    assert ARCHITECTURES[name].feature_channels == last.out_channels
