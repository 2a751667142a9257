"""The paper's Table 1, computed from a network: output sizes, depth, parameters and multiply-adds of every layer."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from incdet.networks.architectures import Architecture
from incdet.networks.googlenet import INPUT_SIZE, GoogLeNet

PRINTED = {
    "conv1": (2.7, 34.0),
    "conv2": (112.0, 360.0),
    "3a": (159.0, 128.0),
    "3b": (380.0, 304.0),
    "4a": (364.0, 73.0),
    "4b": (437.0, 88.0),
    "4c": (463.0, 100.0),
    "4d": (580.0, 119.0),
    "4e": (840.0, 170.0),
    "5a": (1072.0, 54.0),
    "5b": (1388.0, 71.0),
    "linear": (1000.0, 1.0),
}
"""Layer -> the numbers that the paper prints: parameters in units of 1024, without biases, and millions of
multiply-adds."""

PARAMETER_UNIT, OPERATION_UNIT = 1024, 1e6

_TOLERANCE = 0.005
"""Relative difference that rounding of the printed numbers may explain."""


@dataclass(frozen=True)
class LayerSummary:
    """A row of Table 1.

    Attributes:
        name: "conv1", "conv2" (with the 1x1 convolution before it), the name of a module, or "linear".
        output: channels, height and width of the result.
        depth: number of layers with parameters, one after the other.
        weights: number of parameters without biases, as the paper counts them.
        multiply_adds: number of multiply-adds per image.
    """

    name: str
    output: tuple[int, int, int]
    depth: int
    weights: int
    multiply_adds: int

    @property
    def contradictions(self) -> tuple[bool, bool]:
        """Whether the paper prints another number of parameters, and another number of multiply-adds."""
        if self.name not in PRINTED:
            return False, False
        printed_parameters, printed_operations = PRINTED[self.name]
        other_parameters = _differs(self.weights / PARAMETER_UNIT, printed_parameters)
        other_operations = _differs(self.multiply_adds / OPERATION_UNIT, printed_operations)
        return other_parameters, other_operations


@dataclass(frozen=True)
class NetworkSummary:
    """All layers of a network, and its totals.

    Attributes:
        layers: the layers in the order of Table 1.
        parameters: number of parameters with biases, without auxiliary heads.
        head_parameters: numbers of parameters of the auxiliary heads on 4a and 4d.
    """

    layers: tuple[LayerSummary, ...]
    parameters: int
    head_parameters: tuple[int, int]

    @property
    def multiply_adds(self) -> int:
        """Number of multiply-adds per image, without auxiliary heads."""
        return sum(layer.multiply_adds for layer in self.layers)


def summarize(architecture: Architecture, num_classes: int = 1000) -> NetworkSummary:
    """Counts the parameters and operations of a network of this architecture."""
    # tensors on the "meta" device have shapes but no numbers: nothing is allocated or computed
    with torch.device("meta"):
        network = GoogLeNet(num_classes, auxiliary=True, architecture=architecture).eval()
        crops = torch.empty(1, 3, INPUT_SIZE, INPUT_SIZE)
    layers_of: dict[str, list[nn.Module]] = {
        "conv1": [network.conv1],
        "conv2": [network.conv2_reduce, network.conv2],
    }
    layers_of |= {name: [network.get_submodule(f"inception_{name}")] for name in architecture.modules}
    layers_of["linear"] = [network.classifier]
    outputs: dict[str, Tensor] = {}

    def keep_output(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        outputs[name] = output

    for name, layers in layers_of.items():
        layers[-1].register_forward_hook(partial(keep_output, name))
    network(crops)
    summaries = tuple(_summarize_layer(name, layers_of[name], outputs[name], architecture) for name in layers_of)
    heads = [head for head in (network.auxiliary_4a, network.auxiliary_4d) if head is not None]
    head_parameters = _count(heads[0]), _count(heads[1])
    return NetworkSummary(summaries, _count(network) - sum(head_parameters), head_parameters)


def _summarize_layer(name: str, layers: list[nn.Module], output: Tensor, architecture: Architecture) -> LayerSummary:
    # [1, channels, height, width], or [1, channels] after the linear layer
    channels, height, width = (*output.shape[1:], 1, 1)[:3]
    # a module counts as two layers: reductions, then the larger filters; without reductions it is one
    single = name in ("conv1", "linear") or (name != "conv2" and architecture.naive)
    weights = 0
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                weights += module.weight.numel()
    # inside a layer of the table every filter is applied at each position of the output, once per weight
    return LayerSummary(name, (channels, height, width), 1 if single else 2, weights, weights * height * width)


def _count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def _differs(computed: float, printed: float) -> bool:
    """Whether rounding does not explain the difference."""
    # numbers are printed without decimals, but for 2.7
    half_a_digit = 0.5 if printed.is_integer() else 0.06
    return abs(computed - printed) > max(half_a_digit, _TOLERANCE * printed)
