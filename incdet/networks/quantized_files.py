"""A region classifier's file -> a smaller one in eight bits per weight, as the ensemble's members are shipped."""

from pathlib import Path

from incdet.networks.quantization import quantize
from incdet.networks.weights import load_network, save_weights


def quantize_file(weights: Path, output: Path) -> None:
    """Stores weights in eight bits, one scale per output channel; the record stays as it is.

    Stages that training left as they were stay in float16, so that the members of an ensemble go on sharing them.

    Args:
        weights: File of a region classifier.
        output: The smaller file.

    Raises:
        WeightsError: The weights cannot be read.
        OutputError: The smaller file cannot be written.
    """
    network, record = load_network(weights)
    state = network.state_dict()
    frozen_layers = network.lower_layers(int(record.recipe.get("frozen_stages", 0)))
    # a layer's own state dict has names of its own; a tensor is known by its place in memory
    places = {tensor.data_ptr() for layer in frozen_layers for tensor in layer.state_dict().values()}
    exact = {name for name, tensor in state.items() if tensor.data_ptr() in places}
    save_weights(output, quantize(state, exact), record)
