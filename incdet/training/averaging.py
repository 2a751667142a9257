"""Parameter averaging: the network that is used is the mean of those seen lately (paper, section 6: Polyak)."""

import torch
from torch import Tensor, nn


class ParameterAverage:
    """Exponential moving average of a network's parameters, in float32.

    Args:
        network: its parameters at the start are the first average.
        decay: share of the old average that stays at a step; grows from small values, so the start is forgotten.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the parameters after step 0, 1, 2, ..."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.named_parameters():
            self.tensors[name].lerp_(value, 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """Parameter name -> average."""
        return self.tensors
