"""Inception modules against their branches written out."""

import torch
from torch.nn import functional as F

from incdet.networks.architectures import TABLE_1
from incdet.networks.inception import Inception, InceptionWidths, NaiveInception


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
    expected = torch.cat(branches, dim=1)
    assert expected.shape[1] == 4 + 5 + 6 + 7
    assert torch.allclose(module(maps), expected, atol=1e-6)
    module.join()
    assert torch.allclose(module(maps), expected, atol=1e-6)
    assert [widths.output for widths in TABLE_1.values()] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_a_naive_module_lets_the_pooled_input_out():
    module = NaiveInception(3, InceptionWidths(2, 9, 4, 9, 5, 9)).eval()
    maps = torch.randn(2, 3, 8, 8)
    assert module(maps).shape[1] == module.out_channels == 2 + 4 + 5 + 3
    assert torch.equal(module(maps)[:, -3:], F.max_pool2d(maps, 3, 1, 1))
