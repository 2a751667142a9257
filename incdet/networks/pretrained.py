"""Networks from files of weights with what lies beside them, and the record of which files those were."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from incdet.config.sections import ScoresConfig
from incdet.networks.ensemble import LoadedNetwork
from incdet.networks.sidecar_files import (
    activation_ranges_file,
    box_regressor_file,
    load_activation_ranges,
    load_box_regressor,
)
from incdet.networks.weights import load_network
from incdet.runtime.file_hashes import named_hashes


@dataclass(frozen=True)
class Origin:
    """The files that a detector was loaded from.

    Attributes:
        hashes: name of each file, sidecar files included -> its SHA-256.
        rejection_network: name of the rejection network's weights; None without one.
        members: names of the members' weights.
    """

    hashes: dict[str, str]
    rejection_network: str | None
    members: tuple[str, ...]


def load_pretrained(file: Path, config: ScoresConfig) -> LoadedNetwork:
    """Loads a network with the sidecar files that the configuration asks for.

    Args:
        file: the weights.
        config: `box_deltas` asks for the box regressor, which not all weights have, the precision "int8" for the
            activation ranges, and "fastest" for those that are there.

    Raises:
        WeightsError: the weights or a sidecar file are damaged, or eight bits lack their ranges.
    """
    network, record = load_network(file)
    if not config.box_deltas:
        network.box_regressor = None
    elif network.box_regressor is None:
        network.box_regressor = load_box_regressor(file, network.classifier.in_features)
    needs_ranges = config.precision == "int8"
    takes_ranges = config.precision == "fastest" and activation_ranges_file(file).exists()
    ranges = load_activation_ranges(file) if needs_ranges or takes_ranges else {}
    return LoadedNetwork(network, record, ranges)


def origin_of(
    files: Sequence[Path], has_rejection_network: bool, config: ScoresConfig, others: Sequence[Path] = ()
) -> Origin:
    """The record of the files that networks were loaded from.

    Args:
        files: the weights, those of the rejection network, if any, first.
        has_rejection_network: whether the first file is a rejection network.
        config: the configuration that `load_pretrained` had; decides which sidecar files were read.
        others: further files that decide what is found, such as the weights of MultiBox.
    """
    sidecars = [box_regressor_file(file) for file in files if config.box_deltas]
    if config.precision in ("int8", "fastest"):
        sidecars += [activation_ranges_file(file) for file in files]
    present = [file for file in sidecars if file.exists()]
    hashes = named_hashes([*files, *present, *others])
    # files that share a name are told by their whole path
    names = [file.name if file.name in hashes else str(file) for file in files]
    rejection_network = names.pop(0) if has_rejection_network else None
    return Origin(hashes, rejection_network, tuple(names))
