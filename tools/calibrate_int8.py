"""Measures what eight bits must stand for in a region classifier, on photos it was trained on.

    python tools/calibrate_int8.py googlenet-voc --root ../shared/data/voc2012-subset --split train

The numbers are written beside the weights (NAME.int8.json), where `--set scores.precision=int8` finds them.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from incdet.cli.console import notes, progress_bar, run_program, warning
from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.data.readers import Collection, read_dataset
from incdet.images import read_image
from incdet.networks.calibration import activation_ranges
from incdet.networks.engines.openvino_backend import check_network
from incdet.networks.engines.torch_backend import CPU_ROWS
from incdet.networks.sidecar_files import save_activation_ranges
from incdet.networks.weights import find_weights, load_network
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.regions import RegionCropper


def main(
    weights: Annotated[list[str], typer.Argument(help="Names or files.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
    split: Annotated[str, typer.Option(help="Photos that are not used to judge.")] = "train",
    photos: Annotated[int, typer.Option(min=1, help="Evenly spaced over the split.")] = 32,
    regions: Annotated[int, typer.Option(min=1, help="Of each photo, drawn from its proposals.")] = 8,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals.")] = Path(".cache/proposals"),
) -> None:
    """Write the activation ranges of each file of weights beside it."""
    files = [find_weights(name) for name in weights]
    paths = read_dataset(dataset, root, split, warn=warning).image_paths
    count = min(photos, len(paths))
    chosen = [paths[number * len(paths) // count] for number in range(count)]
    proposals = ProposalCache(cache, ProposalsConfig(methods=("selective_search",)))
    with progress_bar("proposals", len(chosen)) as update:
        for done, path in enumerate(proposals.fill(chosen, ImagesConfig()), 1):
            update(done, path.name)
    for file in files:
        network, record = load_network(file)
        check_network(network)
        generator, crops = np.random.default_rng(seed), []
        for path in chosen:
            image = read_image(path)
            boxes = proposals(image).boxes
            rows = generator.choice(len(boxes), min(regions, len(boxes)), replace=False)
            crops.append(RegionCropper(image, record.preprocessing, torch.device("cpu")).crop(boxes[rows]))
        ranges = activation_ranges(network, torch.split(torch.cat(crops), CPU_ROWS))
        number = sum(map(len, crops))
        measured_on = f"{number} regions of {len(chosen)} photos of {dataset.value} {split}, seed {seed}"
        notes.print(f"wrote {save_activation_ranges(file, ranges, measured_on)}: {len(ranges)} ranges", markup=False)


if __name__ == "__main__":
    run_program(main)
