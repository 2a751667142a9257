"""Parameter averaging: the network that is used is the mean of those seen lately (paper, section 6: Polyak)."""

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


class averaged_parameters:  # noqa: N801 (a context manager reads like a function)
    """Within the block the network holds the averaged state; afterwards its own again."""

    def __init__(self, network: nn.Module, average: ParameterAverage):
        self.network, self.average = network, average

    def __enter__(self) -> None:
        self._own = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self._load(self.average.state())

    def __exit__(self, *_: object) -> None:
        self._load(self._own)

    @torch.no_grad()
    def _load(self, tensors: dict[str, Tensor]) -> None:
        for name, value in self.network.state_dict().items():
            value.copy_(tensors[name])
