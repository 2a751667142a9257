"""Stores a region classifier in eight bits per weight, as the ensemble's members are shipped.

    python tools/quantize_weights.py runs/regions_voc/member-1/weights.safetensors googlenet-voc-1.safetensors

Stages that training left as they were stay in float16, so that the members of an ensemble can go on sharing them.
"""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.console import notes, run_program
from incdet.networks.quantization import quantize
from incdet.networks.weights import load_network, save_weights


def main(
    weights: Annotated[Path, typer.Argument(help="A region classifier, such as tools/train_regions.py writes.")],
    output: Annotated[Path, typer.Argument(help="The smaller file.")],
) -> None:
    """Quantize the weights per output channel; the record stays as it is."""
    network, record = load_network(weights)
    state = network.state_dict()
    frozen = network.lower_layers(int(record.recipe.get("frozen_stages", 0)))
    places = {value.data_ptr() for layer in frozen for value in layer.state_dict().values()}
    exact = {name for name, value in state.items() if value.data_ptr() in places}
    save_weights(output, quantize(state, exact), record)
    before, after = (file.stat().st_size / 1e6 for file in (weights, output))
    notes.print(f"wrote {output}: {after:.1f} MB instead of {before:.1f}", markup=False)


if __name__ == "__main__":
    run_program(main)
