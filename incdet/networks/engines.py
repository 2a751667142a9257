"""What computes the networks, and how precisely: torch on any device, OpenVINO on CPUs."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, Protocol

import torch
from torch import Tensor

from incdet.config import ScoresConfig
from incdet.device import choose_precision
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.openvino_engine import OpenVinoHalves, Precision, openvino_package
from incdet.networks.torch_engine import TorchHalves, prepare_network
from incdet.networks.weights import WeightsRecord

PRECISIONS: dict[torch.dtype, Precision] = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.int8: "int8",
}


class Halves(Protocol):
    """A network in two halves, whatever computes it."""

    def trunk(self, crops: Tensor) -> Tensor:
        """Stages 1 to 3: crops [B, 3, S, S] -> maps."""

    def logits(self, maps: Tensor) -> Tensor:
        """The rest: maps -> [B, columns] float32."""


class Engine:
    """Makes networks ready to be computed.

    Attributes:
        name: "torch" or "openvino".
        precision: "float32", "bfloat16" or "int8".

    Args:
        config: what was asked for; engine "auto" is OpenVINO on CPUs where it is installed and knows the networks.
        device: where.
        networks: all that will be computed.

    Raises:
        ConfigurationError: OpenVINO was asked for on another device or for a variant of the network, or eight bits of
            torch.
        PackageError: OpenVINO was asked for and is not installed.
    """

    def __init__(self, config: ScoresConfig, device: torch.device, networks: Sequence[GoogLeNet]):
        self.device = device
        self.name: Literal["torch", "openvino"] = "torch"
        if config.engine == "openvino" or (config.engine == "auto" and self._openvino_can(networks)):
            self.name = "openvino"
        if self.name == "openvino":
            openvino_package()
            if device.type != "cpu":
                raise ConfigurationError("scores.engine=openvino computes on the CPU; add device=cpu or leave it out")
        eight_bits = self.name == "openvino" and config.precision == "int8"
        precision = torch.int8 if eight_bits else choose_precision(config.precision, device)
        self.precision = PRECISIONS[precision]

    def _openvino_can(self, networks: Sequence[GoogLeNet]) -> bool:
        known = all(network.architecture.plain for network in networks)
        return self.device.type == "cpu" and known and find_spec("openvino") is not None

    def describe(self) -> str:
        """In words, for people and for `run.json`."""
        return f"{self.name}, {self.precision}"

    def prepare(self, network: GoogLeNet) -> GoogLeNet:
        """The network on its device, in the form that `halves` takes."""
        # OpenVINO rounds by itself
        precision = torch.bfloat16 if (self.name, self.precision) == ("torch", "bfloat16") else torch.float32
        return prepare_network(network, self.device, precision)

    def halves(self, network: GoogLeNet, record: WeightsRecord) -> Halves:
        """What computes a prepared network.

        Raises:
            WeightsError: eight bits, and nobody has measured the ranges of the network's maps.
        """
        if self.name == "torch":
            return TorchHalves(network)
        if self.precision == "int8" and not record.activation_ranges:
            raise WeightsError(
                f"scores.precision=int8 needs the ranges of the network's maps, which these weights lack "
                f"({record.origin}); measure them with tools/calibrate_int8.py"
            )
        return OpenVinoHalves(network, self.precision, record.activation_ranges)
