"""Networks from files of weights with what lies beside them."""

from pathlib import Path

from incdet.config.sections import ScoresConfig
from incdet.networks.ensemble import LoadedNetwork
from incdet.networks.sidecar_files import (
    activation_ranges_file,
    load_activation_ranges,
    load_box_regressor,
)
from incdet.networks.weights import load_network
from incdet.networks.weights_origin import may_take_ranges


def load_pretrained(file: Path, config: ScoresConfig) -> LoadedNetwork:
    """Loads a network with the sidecar files that the configuration asks for.

    Args:
        file: the weights.
        config: `box_deltas` asks for the box regressor, which not all weights have, the precision "int8" for the
            activation ranges, and others that may be eight bits for those that are there.

    Raises:
        WeightsError: the weights or a sidecar file are damaged, or eight bits lack their ranges.
    """
    network, record = load_network(file)
    if not config.box_deltas:
        network.box_regressor = None
    elif network.box_regressor is None:
        network.box_regressor = load_box_regressor(file, network.classifier.in_features)
    is_there = config.precision == "int8" or activation_ranges_file(file).exists()
    ranges = load_activation_ranges(file) if is_there and may_take_ranges(config) else {}
    return LoadedNetwork(network, record, ranges)
