"""How many regions a second a region classifier learns from: crops of their own against shared feature maps."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn

from incdet.config.loading import load_config
from incdet.config.recipes import find_recipe
from incdet.data.readers import read_dataset
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network
from incdet.ops.even_spacing import evenly_spaced
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.device import keep_freed_memory
from incdet.training.region_task import RegionsTask
from incdet.training.region_training_config import RegionsTrainingConfig
from incdet.training.shared_region_task import SharedRegionsTask

CROPS = "crops"

SAME = ("initial_weights=googlenet-voc", "device=cpu", "workers=0", "memory_gigabytes=1", "data.validation_images=0")
"""Settings that all trainings have, so that they differ in their features alone."""

TRAININGS = {
    CROPS: ("rejection_voc_longer", ()),
    "shared features": ("shared_voc", ()),
    "shared features, 128 regions a photo": ("shared_voc", ("shared.regions_per_photo=128",)),
    "cached feature maps": ("own_data", ()),
}
"""Name -> recipe and settings. The last one trains stage 5, the others train stages 3 to 5."""

Row = dict[str, float | str]


@dataclass
class _Steps:
    """A training that takes one step at a time.

    Attributes:
        network: the network that learns.
        losses: network and batch -> terms of the loss.
        batches: batches of all steps.
        optimizer: moves the parameters.
        regions_per_step: number of regions that a step learns from.
    """

    network: nn.Module
    losses: Callable[[nn.Module, Any], dict[str, Tensor]]
    batches: Iterator[Any]
    optimizer: torch.optim.Optimizer
    regions_per_step: int

    def take(self) -> float:
        """Takes a step, the making of its samples included, and returns its seconds."""
        started = time.perf_counter()
        losses = self.losses(self.network.train(), next(self.batches))
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack([values.mean() for values in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return time.perf_counter() - started


def measure_trainings(
    root: Path,
    split: str,
    limit: int,
    runs: int,
    cache: Path,
    settings: Sequence[str],
    report: Callable[[int, str], None],
) -> list[Row]:
    """Measures the steps of every training, which take turns.

    Args:
        root: folder of a data set in VOC's layout.
        split: name of the split.
        limit: largest number of photos.
        runs: number of steps of each training after the first one, which warms up.
        cache: folder of the proposal cache.
        settings: settings `dotted.key=value` that all trainings get.
        report: takes the number of steps done and a note.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    trainings = {
        name: _prepare(recipe, (*own, *settings), root, split, limit, runs, cache)
        for name, (recipe, own) in TRAININGS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    for run in range(runs + 1):
        for done, (name, steps) in enumerate(trainings.items()):
            report(run * len(trainings) + done, name)
            seconds[name].append(steps.take())
    report((runs + 1) * len(trainings), "")
    rows: list[Row] = []
    for name, steps in trainings.items():
        # the first step compiles kernels and fills caches
        step_seconds = statistics.median(seconds[name][1:])
        rows.append(
            {
                "training": name,
                "regions_per_step": steps.regions_per_step,
                "seconds_per_step": step_seconds,
                "regions_per_second": steps.regions_per_step / step_seconds,
            }
        )
    return rows


def _prepare(
    recipe: str, settings: tuple[str, ...], root: Path, split: str, limit: int, runs: int, cache: Path
) -> _Steps:
    """A training of a recipe on some of a split's photos, before its first step."""
    chosen = [*SAME, *settings, f"data.root={root}"]
    config = load_config(RegionsTrainingConfig, find_recipe(recipe), chosen)
    dataset = read_dataset("voc", root, split)
    photos = dataset.subset(evenly_spaced(len(dataset), limit))
    initial = load_network(find_weights(config.initial_weights))
    proposals = ProposalCache(cache, config.proposals, "cpu")
    batch_size, steps = config.optimization.batch_size, range(runs + 1)
    if config.features == "shared":
        shared = SharedRegionsTask(photos, proposals, initial, config)
        task: Any = shared.task()
        regions_per_step = batch_size * config.shared.regions_per_photo
        if config.shared.cache_features:
            # all feature maps are computed before the clock starts
            for batch in task.batches(steps):
                shared.inputs(batch)
    else:
        task = RegionsTask(photos, proposals, initial, config).task()
        regions_per_step = batch_size
    learning = [parameter for parameter in task.network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=1e-4, momentum=0.9)
    return _Steps(task.network, task.losses, task.batches(steps), optimizer, regions_per_step)


def trainings_table(rows: list[Row]) -> Table:
    """Makes a table for people; the ratio is that of a training's regions per second to those of crops."""
    crops = next(float(row["regions_per_second"]) for row in rows if row["training"] == CROPS)
    table = Table(title="training of a region classifier, one thread")
    for heading in ("training", "regions a step", "seconds a step", "regions/s", "ratio to crops"):
        table.add_column(heading, justify="right")
    for row in rows:
        speed = float(row["regions_per_second"])
        cells = f"{row['seconds_per_step']:.2f}", f"{speed:.0f}", f"{speed / crops:.1f}"
        table.add_row(str(row["training"]), str(row["regions_per_step"]), *cells)
    return table
