"""Batch normalisation against torch."""

import torch
from torch import nn

from incdet.networks.conv_units import BatchNorm


def test_batch_normalisation_is_torchs():
    torch.manual_seed(0)
    ours, theirs = BatchNorm(5), nn.BatchNorm2d(5, eps=1e-3)
    for step in range(4):
        maps = torch.randn(3, 5, 4, 4) * (step + 1) + step
        assert torch.allclose(ours(maps), theirs(maps), atol=1e-6)
    assert torch.allclose(ours.eval()(maps), theirs.eval()(maps), atol=1e-6)
    assert ours.state_dict().keys() | {"num_batches_tracked"} == theirs.state_dict().keys()
