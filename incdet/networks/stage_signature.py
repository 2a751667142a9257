"""A few numbers that tell whether two networks compute the same feature maps of a photo.

Layers that read the feature maps of a network are of no use on those of another one. The weights are compared by one
number for each convolution, so that a record can hold them. Weights that are stored in eight bits count as the same:
their feature maps differ by as little as those of another number format.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from incdet.networks.googlenet import GoogLeNet

NUM_WEIGHTS = 4096
"""Number of weights of a layer, the first ones, that count."""

MAX_DIFFERENCE = 0.03
"""Largest root mean square difference of two signatures of the same network. Rounding the weights of the shipped
network to eight bits makes 0.011 and to bfloat16 0.002; an earlier state of its training differs by 0.065."""


@torch.no_grad()
def stage_signature(network: GoogLeNet, num_stages: int = 4) -> tuple[float, ...]:
    """Computes the signature of the stages from 1 on.

    Args:
        network: the network, as it was loaded.
        num_stages: number of stages; stages 1 to 4 compute the feature maps of photos.

    Returns:
        One number for each weight tensor: the correlation of its first weights with a wave, in units of its standard
        deviation when both are independent.
    """
    signature: list[float] = []
    for layer in network.lower_layers(num_stages):
        for _, weights in sorted(layer.state_dict().items()):
            if weights.ndim > 1:
                signature.append(round(_projection(weights), 5))
    return tuple(signature)


def same_signature(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two signatures are those of the same stages."""
    if len(one) != len(other) or not one:
        return False
    squares = [(first - second) ** 2 for first, second in zip(one, other, strict=True)]
    return math.sqrt(sum(squares) / len(squares)) <= MAX_DIFFERENCE


def _projection(weights: Tensor) -> float:
    values = weights.detach().float().cpu().flatten()[:NUM_WEIGHTS]
    wave = torch.cos(torch.arange(len(values)) * 1.0)
    return float((values * wave).sum() / values.norm().clamp(min=1e-12) * math.sqrt(2))
