"""Max pooling: the shortcut gives what torch's own loop gives."""

import pytest
import torch
from torch.nn import functional as F

from incdet.ops.pooling import max_pool


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (3, 1), (2, 2), (5, 1), (3, 3)])
@pytest.mark.parametrize("sides", [(7, 7), (8, 5), (112, 13), (6, 14)], ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_maxima_are_those_of_torch(size, stride, sides, layout, dtype):
    feature_maps = torch.randn(2, 8, *sides, generator=torch.Generator().manual_seed(0)).to(dtype, memory_format=layout)
    expected = F.max_pool2d(feature_maps, size, stride, size // 2 if stride == 1 else 0, ceil_mode=True)
    found = max_pool(feature_maps, size, stride)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (1, 5)], ids=str)
def test_feature_maps_smaller_than_the_windows(sides):
    feature_maps = torch.randn(2, 8, *sides, generator=torch.Generator().manual_seed(0))
    assert torch.equal(max_pool(feature_maps, 3, 1), F.max_pool2d(feature_maps, 3, 1, 1))


def test_gradients_go_to_the_maxima():
    feature_maps = torch.arange(25.0).reshape(1, 1, 5, 5).requires_grad_()
    max_pool(feature_maps, 2, 2).sum().backward()
    assert torch.nonzero(feature_maps.grad[0, 0].flatten()).flatten().tolist() == [6, 8, 9, 16, 18, 19, 21, 23, 24]


def test_what_is_not_a_number_is_not_lost():
    feature_maps = torch.zeros(1, 1, 4, 4)
    feature_maps[0, 0, 1, 1] = torch.nan
    assert max_pool(feature_maps, 3, 1).isnan().sum() == 9
