"""Which files a detector is loaded from: its weights and the sidecar files beside them, known without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from incdet.config.sections import Config, ScoresConfig
from incdet.runtime.cpu_flags import prefers_eight_bits
from incdet.runtime.file_hashes import named_hashes
from incdet.runtime.optional_packages import is_installed
from incdet.runtime.provenance import describe_run


class ChosenWeights(NamedTuple):
    """The files of a detector's networks.

    Attributes:
        files: the members, and before them the rejection network, if there is one.
        has_rejection_network: whether there is a rejection network.
        finder: the network that finds the objects which the members name; None where they find them themselves.
        namer: the network that names once more what the others find; None without one.
    """

    files: tuple[Path, ...]
    has_rejection_network: bool
    finder: Path | None = None
    namer: Path | None = None

    @property
    def all_files(self) -> tuple[Path, ...]:
        """The files of all networks: rejection network, members, finder and namer, as far as there are."""
        return (*self.files, *(file for file in (self.finder, self.namer) if file is not None))


@dataclass(frozen=True)
class Origin:
    """The files that a detector was loaded from.

    Attributes:
        hashes: name of each file, sidecar files included -> its SHA-256.
        rejection_network: name of the rejection network's weights; None without one.
        members: names of the members' weights.
        finder: name of the finder's weights; None without one.
        namer: name of the namer's weights; None without one.
    """

    hashes: dict[str, str]
    rejection_network: str | None
    members: tuple[str, ...]
    finder: str | None = None
    namer: str | None = None

    def describe(self, config: Config, **more: Any) -> dict[str, Any]:
        """Returns what decides the results of a detector, for `run.json`.

        Args:
            config: the effective configuration.
            more: values that only the loaded networks know, by their keys.
        """
        roles: dict[str, Any] = {"rejection_network": self.rejection_network, "members": list(self.members)}
        roles |= {role: name for role, name in (("finder", self.finder), ("namer", self.namer)) if name is not None}
        return describe_run(config, self.hashes, ensemble=roles, **more)


def activation_ranges_file(weights: Path) -> Path:
    """Path of the activation ranges of weights, whether they exist or not."""
    return weights.with_suffix(".int8.json")


def may_take_ranges(config: ScoresConfig) -> bool:
    """Whether networks may be computed in eight bits on this machine's CPU, and so need their activation ranges."""
    if config.precision == "auto":
        return prefers_eight_bits() and config.engine != "torch" and is_installed("openvino")
    return config.precision in ("int8", "fastest")


def box_regressor_file(weights: Path) -> Path:
    """Path of the box regression of weights, whether it exists or not."""
    return weights.with_suffix(".boxes.safetensors")


def origin_of(chosen: ChosenWeights, config: ScoresConfig, others: Sequence[Path] = ()) -> Origin:
    """The record of the files that networks were loaded from.

    Args:
        chosen: the weights.
        config: the configuration that `load_pretrained` had; decides which sidecar files were read.
        others: further files that decide what is found, such as the weights of MultiBox.
    """
    files = chosen.all_files
    sidecars = [box_regressor_file(file) for file in files if config.box_deltas]
    if may_take_ranges(config):
        sidecars += [activation_ranges_file(file) for file in files]
    present = [file for file in sidecars if file.exists()]
    hashes = named_hashes([*files, *present, *others])
    # files that share a name are told by their whole path
    names = [file.name if file.name in hashes else str(file) for file in files]
    # the order is that of `ChosenWeights.all_files`
    namer = None if chosen.namer is None else names.pop()
    finder = None if chosen.finder is None else names.pop()
    rejection_network = names.pop(0) if chosen.has_rejection_network else None
    return Origin(hashes, rejection_network, tuple(names), finder, namer)
