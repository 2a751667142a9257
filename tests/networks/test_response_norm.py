"""Response normalisation against torch, with and without gradients."""

import pytest
import torch
from torch.nn import functional as F

from incdet.networks.response_norm import LocalResponseNorm


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_response_normalisation_equals_torchs(channels):
    maps = torch.randn(2, channels, 6, 5) * 50
    expected = F.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1.0)
    assert torch.allclose(LocalResponseNorm(channels)(maps), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 192, 64, 70), (3, 5, 4, 3), (0, 8, 4, 4)], ids=["threads", "few", "none"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_response_normalisation_is_the_same_with_and_without_gradients(shape, memory_format):
    norm = LocalResponseNorm(shape[1], alpha=0.02, k=2.0)
    maps = (torch.randn(shape) * 20).contiguous(memory_format=memory_format)
    learnt = norm(maps.clone().requires_grad_())
    assert torch.allclose(norm(maps), learnt.detach(), rtol=1e-5, atol=1e-6)
    rounded = norm(maps.bfloat16())
    assert rounded.dtype == torch.bfloat16
    assert rounded.is_contiguous(memory_format=torch.channels_last)
    # computed in float32, then rounded to the nearest
    expected = norm(maps.bfloat16().float())
    assert ((rounded.float() - expected).abs() <= expected.abs() / 256).all()
    assert (rounded == expected.bfloat16()).float().mean() > 0.999 or not maps.numel()


def test_the_gradient_of_response_normalisation():
    norm = LocalResponseNorm(7, alpha=0.5).double()
    maps = torch.randn(2, 7, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (maps,))
