r"""Makes the namer of the default detector, the shipped `googlenet-voc-namer`: a new last layer on mixed convolutions.

    python experiments/voc_namer.py --root VOC2012 --output namer.safetensors
    incdet weights quantize namer.safetensors --output googlenet-voc-namer.safetensors
    incdet weights calibrate googlenet-voc-namer.safetensors --root VOC2012

The convolutions are those of `googlenet-ilsvrc200`, three quarters ImageNet's and one quarter those that VOC has
taught; `adapt_ilsvrc200.py` mixes them. They stay as they are, so they cannot learn rare objects by heart, and the
network errs where the networks that were trained further do not. The last layer learns VOC's 20 classes and background
from the photos and regions that a training on shared features draws (recipe `shared_voc`, all photos of train).

Pooled features are computed once, in parts that are stored: interrupted, the same command goes on where it stopped.
The shipped weights took 11 minutes for 2,000 photos (two processes, one for each seed) and five for the last layer, on
two Zen 3 cores. The ranges that are shipped with them are those of feature maps at three sizes of the photo, at which
the namer read them then.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from torch import Tensor, nn

from incdet.cli.console import notes, progress_bar, run_program
from incdet.config.loading import load_config
from incdet.config.recipes import find_recipe
from incdet.data.collection import Collection
from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, save_weights
from incdet.ops.region_pooling import pool_regions
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.files import load_arrays, save_arrays
from incdet.training.region_training_config import RegionsTrainingConfig
from incdet.training.shared_region_task import SharedRegionsTask

START = "googlenet-ilsvrc200"
"""The weights whose convolutions and box regressor are kept."""

SETTINGS = (
    "frozen_stages=4",
    "dropout=0",
    "workers=0",
    "data.validation_images=0",
    "optimization.batch_size=1",
    "shared.regions_per_photo=56",
    "proposals.methods=[selective_search]",
)
"""Settings of the recipe `shared_voc` that are others here; the shipped weights were computed in float32."""

PHOTO_SIDES = (512,)
"""Lengths to which the shorter side of a photo is resized for the namer: one, whatever the sizes of the regions. With
several it names no better, and takes longer."""

PART = 50
"""Number of photos whose features are stored together."""


class LearntRegions(NamedTuple):
    """The regions that the last layer learns from.

    Attributes:
        features: [R, F] float32, the pooled features of the regions.
        targets: [R, C + 1] float32, probabilities of the classes and, last, of background.
    """

    features: Tensor
    targets: Tensor


def main(
    root: Annotated[Path, typer.Option(help="Folder of VOC.")],
    output: Annotated[Path, typer.Option(help="File of the new weights.")],
    split: Annotated[str, typer.Option(help="Split of VOC that is learnt.")] = "train",
    cache: Annotated[Path, typer.Option(help="Folder of proposals and features.")] = Path(".cache/namer"),
    photos: Annotated[int, typer.Option(min=1, help="Number of photos that are drawn for each seed.")] = 1000,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, from 1 on.")] = 2,
    epochs: Annotated[int, typer.Option(min=1, help="Number of passes of the last layer over the regions.")] = 12,
) -> None:
    """Computes features, trains the last layer, and writes the weights."""
    data = read_dataset(Collection.voc, root, split)
    parts: list[LearntRegions] = []
    for seed in range(1, seeds + 1):
        parts += stored_features(data, root, cache, seed, photos)
    regions = LearntRegions(*(torch.cat(column) for column in zip(*parts, strict=True)))
    classifier = train_classifier(regions, epochs)
    network, record = load_network(find_weights(START))
    tensors = network.state_dict()
    tensors |= {f"classifier.{name}": tensor for name, tensor in classifier.state_dict().items()}
    changes = {
        "classes": data.class_names,
        "preprocessing": record.preprocessing.model_copy(update={"photo_sides": PHOTO_SIDES}),
        "recipe": {"program": "experiments/voc_namer.py", "settings": list(SETTINGS), "regions": len(regions.features)},
        "origin": f"last layer trained by incdet on {data.name}, the rest from {START}",
        "measured": {},
        "finder": None,
        "other_names": {},
        "display_threshold": None,
    }
    save_weights(output, tensors, record.model_copy(update=changes), torch.float16)
    notes.print(f"wrote {output}: {len(regions.features):,} regions learnt", markup=False)


def stored_features(data: Dataset, root: Path, cache: Path, seed: int, num_photos: int) -> Iterator[LearntRegions]:
    """Computes the features of the regions of drawn photos, or reads those of an earlier run, in parts.

    Args:
        data: the photos.
        root: their folder, for the configuration.
        cache: folder of proposals and features.
        seed: seed of the drawing.
        num_photos: number of photos that are drawn.
    """
    settings = [*SETTINGS, f"data.root={root}", f"seed={seed}", f"initial_weights={START}"]
    config = load_config(RegionsTrainingConfig, find_recipe("shared_voc"), settings)
    start = load_network(find_weights(START))
    task = SharedRegionsTask(data, ProposalCache(cache / "proposals", config.proposals), start, config)
    network = task.network.eval()
    # what remains gives the pooled features
    network.box_regressor = None
    network.add_module("classifier", nn.Identity())
    with progress_bar(f"features, seed {seed}", num_photos, False) as update:
        for first in range(0, num_photos, PART):
            update(first, "")
            steps = range(first, min(first + PART, num_photos))
            file = cache / data.name.replace(" ", "-") / f"features-{seed}-{steps.start}-{steps.stop}.npz"
            arrays = load_arrays(file, "features", "targets")
            if arrays is None:
                regions = computed_features(task, steps)
                arrays = {"features": regions.features.half().numpy(), "targets": regions.targets.numpy()}
                save_arrays(file, **arrays)
            yield LearntRegions(torch.from_numpy(arrays["features"]).float(), torch.from_numpy(arrays["targets"]))


@torch.inference_mode()
def computed_features(task: SharedRegionsTask, steps: range) -> LearntRegions:
    """Computes the features of the regions of the photos that some steps of a training draw."""
    features, targets = [], []
    for batch in task.task().batches(steps):
        for photo, regions in zip(batch.photos, batch.regions, strict=True):
            with task.autocast():
                maps = task.network.photo_features(photo.to(task.device))
                features.append(task.network.region_head(pool_regions(maps, regions.to(task.device))).float().cpu())
        targets.append(batch.targets.flatten(0, 1))
    return LearntRegions(torch.cat(features), torch.cat(targets))


def train_classifier(regions: LearntRegions, epochs: int) -> nn.Linear:
    """Trains a linear layer by AdamW at a linearly falling rate, with half of the features dropped at a time.

    Args:
        regions: the regions and their targets.
        epochs: number of passes over the regions.
    """
    torch.manual_seed(0)
    scale = float(regions.features.std())
    linear, dropout, batch_size = nn.Linear(regions.features.shape[1], regions.targets.shape[1]), nn.Dropout(0.5), 512
    optimizer = torch.optim.AdamW(linear.parameters(), lr=0.002, weight_decay=1e-4)
    num_steps = epochs * max(1, len(regions.features) // batch_size)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, num_steps)
    for _ in range(epochs):
        order = torch.randperm(len(regions.features))
        # the last rows of a pass, less than a batch, are left out, unless there are no others
        for number in range(num_steps // epochs):
            rows = order[number * batch_size : (number + 1) * batch_size]
            logits = linear(dropout(regions.features[rows] / scale))
            loss = -(regions.targets[rows] * logits.log_softmax(dim=1)).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        linear.weight /= scale
    return linear


if __name__ == "__main__":
    run_program(main)
