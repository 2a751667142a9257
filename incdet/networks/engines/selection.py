"""The choice of what computes the networks, and how precisely: torch on any device, OpenVINO on CPUs."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from incdet.config.sections import ScoresConfig
from incdet.errors import ConfigurationError, PackageError
from incdet.networks.engines.openvino_backend import OpenVinoBackend, Precision, openvino_package
from incdet.networks.engines.openvino_presence import wrong_device_error
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.googlenet import GoogLeNet
from incdet.runtime.cpu_flags import prefers_eight_bits
from incdet.runtime.device import PrecisionSetting, choose_precision

PRECISIONS: dict[torch.dtype, Precision] = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.int8: "int8",
}


REGION_POOL = 3
"""Size of the max pooling in `pool_regions`, which takes the place of the network's own before stage 5."""


class Backend(Protocol):
    """Computes one network: whole or as trunk and head for crops, and in two other parts for shared features."""

    def trunk(self, crops: Tensor) -> Tensor:
        """Computes stages 1 to 3.

        Args:
            crops: [B, 3, S, S] float32, preprocessed.

        Returns:
            Feature maps [B, 480, S / 16, S / 16] of the published network, in the precision of the backend.
        """

    def head(self, feature_maps: Tensor) -> Tensor:
        """Computes the rest of the network.

        Args:
            feature_maps: the trunk's result.

        Returns:
            Logits [B, C + 1] float32 or, where the network has a box regressor, [B, C + 1 + 4] with box deltas behind
            the logits; see `apply_box_deltas`.
        """

    def full(self, crops: Tensor) -> Tensor:
        """Computes trunk and head, faster than one after the other, where nobody else needs the feature maps."""

    def photo_features(self, photo: Tensor) -> Tensor:
        """Computes stages 1 to 4 of one whole photo.

        Args:
            photo: [1, 3, H, W] float32, preprocessed.

        Returns:
            Feature maps [1, 832, H / 16, W / 16] of the published network, in the precision of the backend, channels
            last in memory.
        """

    def region_head(self, pooled: Tensor) -> Tensor:
        """Computes the rest of the network for pooled regions.

        Args:
            pooled: [R, 832, 7, 7], as `pool_regions` returns them from the result of `photo_features`.

        Returns:
            Logits, with box deltas behind them where the network has a box regressor; as `head` returns them.
        """

    def prepare_shared_features(self) -> None:
        """Begins to make `photo_features` and `region_head` ready, in another thread, where that takes time."""

    def prepare_crops(self, size: int) -> None:
        """Begins to make `full` ready for crops of a size, in another thread, where that takes time."""


def check_shared_features(network: GoogLeNet) -> None:
    """Refuses networks that cannot classify regions pooled by `pool_regions`, whatever computes them.

    Raises:
        ConfigurationError: the network's max pooling before stage 5 is another one than that of `pool_regions`.
    """
    architecture = network.architecture
    if architecture.last_pool != REGION_POOL:
        raise ConfigurationError(
            f"the network '{architecture.name}' cannot share feature maps among regions: its max pooling before stage "
            f"5 is {architecture.last_pool}x{architecture.last_pool} and that of pooled regions {REGION_POOL}x"
            f"{REGION_POOL}; take the architecture 'table', or scores.features=cropped"
        )


def openvino_works_on(device: torch.device) -> bool:
    """Whether the engine "auto" is OpenVINO: on a CPU where the package can be imported."""
    if device.type != "cpu":
        return False
    try:
        openvino_package()
    except PackageError:
        return False
    return True


class Engine:
    """Makes networks ready to be computed.

    Args:
        config: engine and precision that were asked for. The engine "auto" is OpenVINO on CPUs that have it, unless a
            network is a variant that OpenVINO's backend does not know.
        device: the device that computes.
        networks: all networks that will be computed.
        has_ranges: whether eight bits are possible, because the ranges of all networks' feature maps are known; the
            precision "fastest" takes them then, and "auto" where `prefers_eight_bits` says so.

    Attributes:
        device: the device that computes.
        name: "torch" or "openvino".
        precision: "float32", "bfloat16" or "int8".

    Raises:
        ConfigurationError: OpenVINO was asked for on another device or for a variant of the network, or torch was asked
            for eight bits.
        PackageError: OpenVINO was asked for and is not installed.
    """

    def __init__(
        self, config: ScoresConfig, device: torch.device, networks: Sequence[GoogLeNet], has_ranges: bool = False
    ) -> None:
        self.device = device
        self.name: Literal["torch", "openvino"] = "torch"
        known = all(network.architecture.plain for network in networks)
        if config.engine == "openvino" or (config.engine == "auto" and known and openvino_works_on(device)):
            self.name = "openvino"
        if self.name == "openvino":
            openvino_package()
            if device.type != "cpu":
                raise wrong_device_error()
        self.precision = PRECISIONS[self._choose_precision(config.precision, has_ranges)]

    def _choose_precision(self, wanted: PrecisionSetting, has_ranges: bool) -> torch.dtype:
        """Chooses what to compute in, under the name of `scores.precision`."""
        if self.name == "openvino":
            if wanted == "int8" or (wanted == "fastest" and has_ranges):
                return torch.int8
            # eight bits take half the time of float32
            if wanted == "auto" and has_ranges and prefers_eight_bits():
                return torch.int8
        # torch's dtypes know no eight bits for networks, so they are refused here
        return choose_precision(wanted, self.device)

    def settled(self, config: ScoresConfig) -> ScoresConfig:
        """The settings by which others compute as this engine does, where "auto" might choose something else for them.

        Eight bits stay as they are asked for, because others may have no ranges.

        Args:
            config: the settings of this engine.
        """
        precision = config.precision if self.precision == "int8" else self.precision
        return config.model_copy(update={"engine": self.name, "precision": precision})

    def describe(self) -> str:
        """The engine in words, for people and for `run.json`."""
        return f"{self.name}, {self.precision}"

    def prepare(self, network: GoogLeNet) -> GoogLeNet:
        """Puts a network on the device, in the form that `backend` takes; its weights must not change afterwards."""
        if self.name == "openvino":
            # it takes float32 weights, rounds by itself, and orders them in memory as it likes
            return network.requires_grad_(False).eval()
        precision = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
        return prepare_network(network, self.device, precision)

    def backend(self, network: GoogLeNet, ranges: Mapping[str, float] | None = None) -> Backend:
        """Makes the backend of a prepared network.

        Args:
            network: a network that `prepare` returned.
            ranges: name of a feature map -> its largest value; only eight bits need them, see
                `networks/calibration.py`.

        Raises:
            WeightsError: eight bits without ranges.
        """
        if self.name == "torch":
            return TorchBackend(network)
        assert self.name == "openvino"
        return OpenVinoBackend(network, self.precision, ranges)
