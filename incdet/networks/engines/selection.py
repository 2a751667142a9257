"""What computes the networks, and how precisely: torch on any device, OpenVINO on CPUs."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from incdet.config.sections import ScoresConfig
from incdet.errors import ConfigurationError, PackageError
from incdet.networks.engines.openvino_backend import OpenVinoBackend, Precision, openvino_package
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.googlenet import GoogLeNet
from incdet.runtime.device import choose_precision

PRECISIONS: dict[torch.dtype, Precision] = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.int8: "int8",
}


class Backend(Protocol):
    """A network in two halves, whatever computes it."""

    def trunk(self, crops: Tensor) -> Tensor:
        """Stages 1 to 3: crops [B, 3, S, S] -> maps."""

    def head(self, maps: Tensor) -> Tensor:
        """The rest: maps -> logits [B, columns] float32; after them, four corrections of the region's box where the
        network has a regression, see `boxes.apply_box_deltas`.
        """

    def full(self, crops: Tensor) -> Tensor:
        """Crops [B, 3, S, S] -> logits, as `head`; faster than the halves where nobody else needs the maps."""


def openvino_works_on(device: torch.device) -> bool:
    """Whether OpenVINO is what "auto" stands for: on a CPU, where it can be loaded."""
    if device.type != "cpu":
        return False
    try:
        openvino_package()
    except PackageError:
        return False
    return True


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
        known = all(network.architecture.plain for network in networks)
        if config.engine == "openvino" or (config.engine == "auto" and known and openvino_works_on(device)):
            self.name = "openvino"
        if self.name == "openvino":
            openvino_package()
            if device.type != "cpu":
                raise ConfigurationError("scores.engine=openvino computes on the CPU; add device=cpu or leave it out")
        eight_bits = self.name == "openvino" and config.precision == "int8"
        precision = torch.int8 if eight_bits else choose_precision(config.precision, device)
        self.precision = PRECISIONS[precision]

    def describe(self) -> str:
        """In words, for people and for `run.json`."""
        return f"{self.name}, {self.precision}"

    def prepare(self, network: GoogLeNet) -> GoogLeNet:
        """The network on its device, in the form that `halves` takes."""
        # OpenVINO rounds by itself
        precision = torch.bfloat16 if (self.name, self.precision) == ("torch", "bfloat16") else torch.float32
        return prepare_network(network, self.device, precision)

    def backend(self, network: GoogLeNet, ranges: Mapping[str, float] | None = None) -> Backend:
        """What computes a prepared network.

        Args:
            network: as `prepare` gave it.
            ranges: for eight bits: of its maps, see `networks/calibration.py`.
        """
        if self.name == "torch":
            return TorchBackend(network)
        return OpenVinoBackend(network, self.precision, ranges)
