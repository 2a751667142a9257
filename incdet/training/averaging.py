"""Parameter averaging: the network that is used is the mean of those seen lately (paper, section 6: Polyak)."""

import copy

import torch
from torch import Tensor, nn


class ParameterAverage:
    """Exponential moving average of a network's parameters and of the statistics of its batch normalisation.

    Args:
        network: its state at the start is the first average.
        decay: share of the old average that stays at a step; grows from small values, so the start is forgotten.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the state after step 0, 1, 2, ..."""
        decay = min(self.decay, (1 + step) / (10 + step))
        state = network.state_dict()
        torch._foreach_lerp_(list(self.tensors.values()), [state[name] for name in self.tensors], 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """Name -> average."""
        return self.tensors


def averaged_network(network: nn.Module, average: ParameterAverage) -> nn.Module:
    """A copy of the network that holds the averaged state; an interruption cannot leave the network itself half so."""
    averaged = copy.deepcopy(network)
    averaged.load_state_dict(average.state())
    return averaged
