"""Response normalisation on a CPU against a sum over channels in float64."""

from functools import partial

import numpy as np
import pytest
import torch

from incdet.ops import normalisation
from incdet.ops.normalisation import normalise_on_cpu


def slow_normalise(feature_maps, size, alpha, k):
    """[B, C, H, W] float64, channel by channel."""
    values = feature_maps.double().numpy()
    result = np.empty_like(values)
    for channel in range(values.shape[1]):
        window = values[:, max(channel - size // 2, 0) : channel + size // 2 + 1]
        result[:, channel] = values[:, channel] / (k + alpha / size * (window**2).sum(axis=1)) ** 0.75
    return result


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(("size", "channels"), [(5, 64), (5, 3), (1, 8), (9, 20)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-8)], ids=str)
def test_the_result_is_that_of_the_formula(dtype, tolerance, size, channels, layout):
    feature_maps = 20 * torch.randn(2, channels, 5, 7, generator=torch.Generator().manual_seed(0))
    feature_maps = feature_maps.to(dtype, memory_format=layout)
    found = normalise_on_cpu(feature_maps, size, 0.02, 2.0)
    assert (found.shape, found.dtype) == (feature_maps.shape, dtype)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert np.allclose(found.double().numpy(), slow_normalise(feature_maps, size, 0.02, 2.0), rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_threads_change_nothing(monkeypatch, dtype):
    feature_maps = torch.randn(3, 16, 9, 9, generator=torch.Generator().manual_seed(1)).to(dtype)
    alone = normalise_on_cpu(feature_maps, 5, 1e-4, 1.0)
    monkeypatch.setattr(normalisation, "MIN_VALUES_PER_THREAD", 100)
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        assert torch.equal(normalise_on_cpu(feature_maps, 5, 1e-4, 1.0), alone)
    finally:
        torch.set_num_threads(before)


def test_bfloat16_ties_go_to_the_even_number_and_nothing_is_lost_of_what_is_not_finite():
    # k = 1/16 and no sum: every number is multiplied by 8, exactly
    special = [float("inf"), float("-inf"), float("nan"), 0.0, -0.0, 1e-38, 3e38]
    norm = partial(normalise_on_cpu, size=1, alpha=0.0, k=1 / 16)
    maps = torch.tensor(special).bfloat16().view(-1, 1, 1, 1)
    assert torch.equal(norm(maps).isnan(), (maps * 8 * (1 + maps.float().square() * 0)).isnan())
    ordinary = torch.linspace(-4, 4, 1000).bfloat16().view(-1, 1, 1, 1)
    assert torch.equal(norm(ordinary), ordinary * 8)
    # 1 / (1 + 2 ** -8) lies between two numbers, as most quotients do
    odd = partial(normalise_on_cpu, size=1, alpha=0.0, k=(1 + 2**-8) ** (4 / 3))
    assert torch.equal(odd(ordinary), (ordinary.float() / (1 + 2**-8)).bfloat16())
