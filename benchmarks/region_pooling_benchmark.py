"""How fast regions are pooled from the feature maps of a photo, beside torchvision's operator and stage 5.

python benchmarks/region_pooling_benchmark.py VOC2012/JPEGImages/2008_000008.jpg
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.table import Table
from torch import Tensor

from incdet.cli.console import call_with_sentence, notes, progress_bar
from incdet.config.sections import SelectiveSearchConfig
from incdet.images import read_image
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.photo_levels import photo_input
from incdet.networks.shipped_weights import SHARED_NETWORK, find_weights
from incdet.networks.weights import load_network
from incdet.ops.even_spacing import evenly_spaced
from incdet.ops.region_pooling import pool_regions, pool_regions_by_torchvision, regions_in_cells
from incdet.proposers.selective_search import propose
from incdet.runtime.files import write_text

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)

POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "incdet": pool_regions,
    "torchvision": pool_regions_by_torchvision,
}
STAGE_5 = "stage 5"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Row = dict[str, float | int | str]


@dataclass(frozen=True, eq=False)
class _Task:
    """What is measured in one precision.

    Attributes:
        feature_maps: [1, 832, H, W], those of the photo.
        regions: [R, 4] float32, x1 y1 x2 y2 in cells.
        backend: computes stage 5, as detection does.
    """

    feature_maps: Tensor
    regions: Tensor
    backend: TorchBackend

    def contenders(self) -> dict[str, Callable[[], object]]:
        """Makes what takes turns: both poolings, both with their gradients, and stage 5."""
        pooled = pool_regions(self.feature_maps, self.regions)
        chosen: dict[str, Callable[[], object]] = {STAGE_5: lambda: self.backend.region_head(pooled)}
        for name, pool in POOLINGS.items():
            chosen[name] = lambda pool=pool: pool(self.feature_maps, self.regions)  # type: ignore[misc]
            chosen[f"{name}, with gradient"] = lambda pool=pool: self._learn(pool)  # type: ignore[misc]
        return chosen

    def _learn(self, pool: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Pools, and brings a gradient back to the feature maps."""
        with torch.inference_mode(False), torch.enable_grad():
            leaf = self.feature_maps.detach().clone().requires_grad_()
            pooled = pool(leaf, self.regions.clone())
            pooled.backward(torch.ones_like(pooled))  # type: ignore[no-untyped-call]


def make_task(photo: Path, precision: str, photo_side: int, num_regions: int) -> _Task:
    """Computes the feature maps of a photo, and regions evenly spaced over its proposals by selective search.

    Args:
        photo: file of the photo.
        precision: "float32" or "bfloat16".
        photo_side: length to which the photo's shorter side is resized, in pixels.
        num_regions: largest number of regions.
    """
    image = read_image(photo)
    boxes = propose(image, SelectiveSearchConfig()).boxes
    network, record = load_network(find_weights(SHARED_NETWORK))
    backend = TorchBackend(prepare_network(network, torch.device("cpu"), PRECISIONS[precision]))
    pixels, scale = photo_input(image, record.preprocessing, photo_side)
    chosen = boxes[evenly_spaced(len(boxes), num_regions)]
    cells = regions_in_cells(chosen, scale, record.preprocessing.context, record.preprocessing.size)
    with torch.no_grad():
        feature_maps = backend.photo_features(pixels)
    return _Task(feature_maps, torch.from_numpy(cells), backend)


def measure_pooling(task: _Task, num_threads: int, runs: int) -> dict[str, float]:
    """Lets all contenders take turns.

    Args:
        task: feature maps, regions and stage 5.
        num_threads: number of threads of each contender.
        runs: number of rounds after the first one, which compiles kernels and fills caches.

    Returns:
        Contender -> median seconds.
    """
    torch.set_num_threads(num_threads)
    contenders = task.contenders()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    with torch.no_grad():
        for _ in range(runs + 1):
            for name, work in contenders.items():
                started = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}


def pooling_table(rows: Sequence[Row], title: str) -> Table:
    """Makes a table for people; ratios are those of a contender's seconds to stage 5's and to incdet's."""
    table = Table(title=title)
    for heading in ("precision", "threads", "what", "milliseconds", "of stage 5", "times incdet's pooling"):
        table.add_column(heading, justify="right")
    for row in rows:
        ratio = row["ratio_to_incdet"]
        cells = f"{float(row['seconds']) * 1000:.1f}", f"{float(row['ratio_to_stage_5']):.1%}"
        table.add_row(str(row["precision"]), str(row["threads"]), str(row["what"]), *cells, f"{float(ratio):.1f}")
    return table


def _rows(precision: str, num_threads: int, seconds: dict[str, float]) -> list[Row]:
    rows: list[Row] = []
    for name, own in seconds.items():
        # poolings with gradients are compared with each other
        ours = seconds["incdet, with gradient" if name.endswith("with gradient") else "incdet"]
        ratios = {"ratio_to_stage_5": own / seconds[STAGE_5], "ratio_to_incdet": own / ours}
        rows.append({"precision": precision, "threads": num_threads, "what": name, "seconds": own, **ratios})
    return rows


@app.command()
def measure(
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    photo_side: Annotated[int, typer.Option(min=96, help="Length of the photo's shorter side, in pixels.")] = 512,
    regions: Annotated[int, typer.Option(min=1, help="Largest number of regions, evenly spaced over proposals.")] = 64,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="Repeatable (default: 1 and all cores).")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Rounds in which all take turns; medians count.")] = 15,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Pools the proposals of a photo by incdet's kernels and by torchvision, and computes stage 5 for them.

    "With gradient" is pooling and the gradient of the feature maps, as in training.
    """
    cores = len(os.sched_getaffinity(0))
    rows: list[Row] = []
    jobs = [(name, number) for name in PRECISIONS for number in threads or sorted({1, cores})]
    tasks = {name: make_task(photo, name, photo_side, regions) for name in PRECISIONS}
    with progress_bar("measurements", len(jobs)) as update:
        for done, (precision, number) in enumerate(jobs):
            update(done, f"{precision}, {number} threads")
            rows += _rows(precision, number, measure_pooling(tasks[precision], number, runs))
        update(len(jobs), "")
    task = tasks["float32"]
    _, channels, height, width = task.feature_maps.shape
    sides = (task.regions[:, 2:] - task.regions[:, :2]).numpy()
    title = (
        f"{len(sides)} regions, median sides {np.median(sides[:, 0]):.1f} x {np.median(sides[:, 1]):.1f} cells, "
        f"feature maps of {width} x {height} cells and {channels} channels"
    )
    notes.print(pooling_table(rows, title))
    if json_file is not None:
        write_text(json_file, json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    call_with_sentence(app)
