"""Fits the bounding-box regression of a region classifier, on photos it was trained on.

    python tools/fit_boxes.py googlenet-voc --root ../shared/data/voc2012-subset --split train

The regression is written beside the weights (NAME.boxes.safetensors), where detection finds it; `--set
scores.box_deltas=false` leaves regions as they were proposed. Interrupted, the same command goes on where it stopped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.table import Table

from incdet.cli.console import notes, progress_bar, run_program, warning
from incdet.config.loading import load_config
from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.data.readers import Collection, read_dataset
from incdet.images import read_image
from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.sidecar_files import fingerprint, save_box_regressor
from incdet.networks.weights import find_weights, load_network
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.box_fitting import Fit, RegionFeatures, box_features, collect_examples, fit_regressor


def main(
    weights: Annotated[str, typer.Argument(help="Name or file.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
    split: Annotated[str, typer.Option(help="Photos that are not used to judge.")] = "train",
    photos: Annotated[int, typer.Option(min=2, help="Evenly spaced over the split.")] = 800,
    regions: Annotated[int, typer.Option(min=1, help="Of each photo at most.")] = 16,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the proposals, such as multibox.limit=100.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and features.")] = Path(".cache"),
) -> None:
    """Write the box regression of the weights beside them."""
    file = find_weights(weights)
    network, record = load_network(file)
    prepare_network(network, torch.device("cpu"), torch.float32)
    data = read_dataset(dataset, root, split, warn=warning)
    count = min(photos, len(data))
    chosen = data.subset([number * len(data) // count for number in range(count)])
    # the whole photo is enough of MultiBox for boxes to learn from, and takes a fraction of the time
    config = load_config(ProposalsConfig, None, ["multibox.crop_sides=[]", *(settings or ())])
    proposals = ProposalCache(cache / "proposals", config, "cpu")
    with progress_bar("proposals", len(chosen)) as update:
        for done, path in enumerate(proposals.fill(chosen.image_paths, ImagesConfig()), 1):
            update(done, path.name)

    def annotated() -> Iterator[tuple[Image, GroundTruth, Proposals]]:
        with progress_bar("regions", len(chosen)) as update:
            for done, (path, truth) in enumerate(chosen):
                update(done, truth.image)
                image = read_image(path)
                yield image, truth, proposals(image)
            update(len(chosen), "")

    features = RegionFeatures(box_features(network), record.preprocessing, cache / "features" / fingerprint(file)[:16])
    examples = collect_examples(features, annotated(), regions, seed)
    fit = fit_regressor(examples)
    _report(fit)
    measured_on = f"{len(examples)} regions of {count} photos of {dataset.value} {split}, {regions} a photo at most"
    fitted = {"on": measured_on, "penalty": fit.penalty, "seed": seed, "licence": record.licence}
    fitted |= {"mean_iou_held_out": [round(float(values.mean()), 4) for values in (fit.before, fit.after)]}
    beside = save_box_regressor(file, fit.regressor, fitted | {"proposals": config.model_dump(mode="json")})
    notes.print(f"wrote {beside}: {measured_on}, penalty {fit.penalty:g}", markup=False)


def _report(fit: Fit) -> None:
    """What the regression, fitted without them, does to the regions of photos held out."""
    table = Table("Jaccard index as proposed", "regions", "mean before", "mean after", title="photos held out")
    tenths = np.minimum((fit.before * 10).astype(int), 9)
    for tenth in np.unique(tenths):
        means = (f"{values[tenths == tenth].mean():.3f}" for values in (fit.before, fit.after))
        table.add_row(f"{tenth / 10:.1f} .. {(tenth + 1) / 10:.1f}", str((tenths == tenth).sum()), *means)
    notes.print(table)
    tried = ", ".join(f"{value:g}: {score:.4f}" for value, score in fit.scores.items())
    notes.print(f"mean Jaccard index by penalty: {tried}", markup=False)


if __name__ == "__main__":
    run_program(main)
