"""The paper's Table 1, computed from a network: output sizes, depth, parameters and multiply-adds of every layer."""

from dataclasses import dataclass

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
"""What the paper prints: parameters in units of 1024, without biases, and millions of multiply-adds."""

PARAMETER_UNIT, OPERATION_UNIT = 1024, 1e6

_TOLERANCE = 0.005


@dataclass(frozen=True)
class LayerSummary:
    """A row of Table 1.

    Attributes:
        name: "conv1", "conv2" (with the 1x1 convolution before it), a module's, or "linear".
        output: channels, height and width that leave it.
        depth: layers with parameters, one after the other.
        weights: parameters without biases, as the paper counts them.
        multiply_adds: per image.
    """

    name: str
    output: tuple[int, int, int]
    depth: int
    weights: int
    multiply_adds: int

    @property
    def contradictions(self) -> tuple[bool, bool]:
        """Whether the paper prints another number of parameters, and of multiply-adds."""
        if self.name not in PRINTED:
            return False, False
        parameters, operations = PRINTED[self.name]
        return _differs(self.weights / PARAMETER_UNIT, parameters), _differs(
            self.multiply_adds / OPERATION_UNIT, operations
        )


@dataclass(frozen=True)
class NetworkSummary:
    """All layers of a network, and its totals.

    Attributes:
        layers: in the order of Table 1.
        parameters: with biases, for 1000 classes, without auxiliary heads.
        head_parameters: of the auxiliary heads on 4a and 4d.
    """

    layers: tuple[LayerSummary, ...]
    parameters: int
    head_parameters: tuple[int, int]

    @property
    def multiply_adds(self) -> int:
        """Per image, without auxiliary heads."""
        return sum(layer.multiply_adds for layer in self.layers)


def summarize(architecture: Architecture, num_classes: int = 1000) -> NetworkSummary:
    """Counts what a network of this architecture computes; nothing is allocated or computed for it."""
    with torch.device("meta"):
        network = GoogLeNet(num_classes, auxiliary=True, architecture=architecture).eval()
        crops = torch.empty(1, 3, INPUT_SIZE, INPUT_SIZE)
    parts: dict[str, list[nn.Module]] = {
        "conv1": [network.conv1],
        "conv2": [network.conv2_reduce, network.conv2],
    }
    parts |= {name: [network.get_submodule(f"inception_{name}")] for name in architecture.modules}
    parts["linear"] = [network.classifier]
    outputs: dict[str, Tensor] = {}
    for name, modules in parts.items():
        modules[-1].register_forward_hook(lambda _, __, output, name=name: outputs.__setitem__(name, output))
    network(crops)
    layers = tuple(_layer(name, modules, outputs[name], architecture) for name, modules in parts.items())
    heads = [head for head in (network.auxiliary_4a, network.auxiliary_4d) if head is not None]
    head_parameters = _count(heads[0]), _count(heads[1])
    return NetworkSummary(layers, _count(network) - sum(head_parameters), head_parameters)


def _layer(name: str, modules: list[nn.Module], output: Tensor, architecture: Architecture) -> LayerSummary:
    channels, height, width = (*output.shape[1:], 1, 1)[:3]
    found = [layer for module in modules for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    weights = sum(layer.weight.numel() for layer in found)
    depth = 1 if name in ("conv1", "linear") or (name != "conv2" and architecture.naive) else 2
    # inside a layer of the table all filters work at its output's size
    return LayerSummary(name, (channels, height, width), depth, weights, weights * height * width)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _differs(computed: float, printed: float) -> bool:
    """Whether rounding does not explain the difference."""
    half_a_digit = 0.5 if printed.is_integer() else 0.06
    return abs(computed - printed) > max(half_a_digit, _TOLERANCE * printed)
