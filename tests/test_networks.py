"""GoogLeNet's shape, its parameters, and its response normalisation."""

import pytest
import torch
from torch.nn import functional as F

from incdet.networks.googlenet import TABLE_1, GoogLeNet
from incdet.networks.inception import Inception, InceptionWidths, LocalResponseNorm


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


def test_an_inception_module_is_its_four_branches():
    torch.manual_seed(0)
    module = Inception(12, InceptionWidths(4, 3, 5, 2, 6, 7)).eval()
    maps = torch.randn(2, 12, 9, 9)
    # ConvReLU is called here branch by branch; the module fuses the three 1x1 convolutions
    branches = (
        module.conv_1x1(maps),
        module.conv_3x3(module.reduce_3x3(maps)),
        module.conv_5x5(module.reduce_5x5(maps)),
        module.pool_projection(F.max_pool2d(maps, 3, 1, 1)),
    )
    assert torch.allclose(module(maps), torch.cat(branches, dim=1), atol=1e-6)
    assert module(maps).shape[1] == 4 + 5 + 6 + 7
    assert [widths.output for widths in TABLE_1.values()] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_response_normalisation_equals_torchs(channels):
    maps = torch.randn(2, channels, 6, 5) * 50
    expected = F.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1.0)
    assert torch.allclose(LocalResponseNorm(channels)(maps), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_response_normalisation():
    norm = LocalResponseNorm(7, alpha=0.5).double()
    maps = torch.randn(2, 7, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (maps,))
