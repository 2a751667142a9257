"""Dropout whose masks do not depend on the number of training processes."""

import torch
from torch import Tensor, distributed, nn


class Dropout(nn.Dropout):
    """Dropout that draws the masks of the samples of all processes, each of which uses those of its own samples.

    N processes thus train exactly as one process that takes steps of N times as many samples. Sample i of the joint
    batch belongs to process i modulo N. All processes must have seeded torch alike.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[B, ...] -> the same shape; the identity outside training."""
        if not self.training or self.p == 0:
            return input
        num_processes, rank = 1, 0
        if distributed.is_available() and distributed.is_initialized():
            num_processes, rank = distributed.get_world_size(), distributed.get_rank()
        # [B, N, ...]: row i holds the masks of the N processes' samples i
        masks = torch.empty(len(input), num_processes, *input.shape[1:], dtype=input.dtype, device=input.device)
        own_mask = masks.bernoulli_(1 - self.p)[:, rank]
        return input * own_mask / (1 - self.p)
