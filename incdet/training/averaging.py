"""Parameter averaging: the trained network is the mean of the networks of the last steps (paper, section 6: Polyak)."""

import copy

import torch
from torch import Tensor, nn


class ParameterAverage:
    """The exponential moving average of a network's parameters and of the statistics of its batch normalisation.

    Args:
        network: the network, whose state at the start is the first average.
        decay: share of the old average that stays at a step. It grows from small values, so that the start is
            forgotten.

    Attributes:
        tensors: name -> average, as in the network's `state_dict`.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Adds the state after step 0, 1, 2, ... to the average."""
        # 1/10 at first, more than 0.99 after 900 steps: the usual warm-up of such averages
        decay = min(self.decay, (1 + step) / (10 + step))
        state = network.state_dict()
        # one call for all tensors: hundreds of small ones would take longer than the arithmetic
        torch._foreach_lerp_(list(self.tensors.values()), [state[name] for name in self.tensors], 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """Returns the average of every tensor by its name."""
        return self.tensors


def averaged_network(network: nn.Module, average: ParameterAverage) -> nn.Module:
    """Returns a copy of the network with the averaged state, so that an interruption cannot leave the network mixed."""
    averaged = copy.deepcopy(network)
    averaged.load_state_dict(average.state())
    return averaged
