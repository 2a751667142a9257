"""How fast training crops are made, beside torchvision's reference transforms for training classifiers."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from incdet.cli.console import progress_bar
from incdet.data.imagenet import LabelledPhotos
from incdet.training.samples.crop_batches import crop_batches
from incdet.training.samples.distortions import DistortionsConfig
from incdet.training.samples.photo_sources import FolderPhotos

SIZE, BATCH = 224, 32
EPOCHS = 3
"""Smallest number of epochs of a pass; few photos take more of them."""

WARM_UP = 15
"""Batches before the clock starts: workers have started, and what they had made in advance is used up."""

MIN_BATCHES = 30
"""Smallest number of batches of a pass after that."""

OURS, PEER, PEER_WITH_COLORS = "incdet", "torchvision's reference", "the same + ColorJitter"

Row = dict[str, float | int | str]


class _Reference(TorchDataset[Tensor]):
    """What torchvision's training script does with a photo, with or without as much colour distortion as ours."""

    def __init__(self, paths: Sequence[Path], colors: bool):
        jitter = [v2.ColorJitter(0.5, 0.5, 0.5)] if colors else []
        self._paths = paths
        self._transform = v2.Compose(
            [
                v2.RandomResizedCrop(SIZE, antialias=True),
                v2.RandomHorizontalFlip(),
                *jitter,
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        with PIL.Image.open(self._paths[index]) as picture:
            crop: Tensor = self._transform(picture.convert("RGB"))
        return crop


def measure_loaders(paths: Sequence[Path], workers: Sequence[int], runs: int) -> list[Row]:
    """Photos per second of every loader and number of workers: the median of passes taken in turns."""
    source = FolderPhotos(LabelledPhotos(tuple(paths), np.zeros(len(paths), np.int64)), ("photo",))
    epochs = num_epochs(len(paths))
    steps = range(epochs * len(paths) // BATCH)

    def ours(number: int) -> Iterator[object]:
        chosen = np.arange(len(paths))
        return crop_batches(source, chosen, SIZE, DistortionsConfig(), BATCH, 0, number)(steps)

    def peer(number: int, colors: bool) -> Iterator[object]:
        return iter(DataLoader(_Reference([*paths] * epochs, colors), BATCH, True, num_workers=number, drop_last=True))

    loaders: dict[str, Callable[[int], Iterator[object]]] = {
        OURS: ours,
        PEER: lambda number: peer(number, False),
        PEER_WITH_COLORS: lambda number: peer(number, True),
    }
    speeds: dict[tuple[str, int], list[float]] = {(name, number): [] for name in loaders for number in workers}
    torch.set_num_threads(1)
    with progress_bar("passes", (runs + 1) * len(speeds)) as update:
        for run in range(runs + 1):
            for done, (name, number) in enumerate(speeds):
                update(run * len(speeds) + done, f"{name}, {number} workers")
                speeds[name, number].append(_photos_per_second(loaders[name](number)))
        update((runs + 1) * len(speeds), "")
    # the first pass warms the caches
    return [
        {"loader": name, "workers": number, "photos_per_second": round(statistics.median(found[1:]), 1)}
        for (name, number), found in speeds.items()
    ]


def num_epochs(num_photos: int) -> int:
    """Returns the number of epochs of a pass, which is long enough to be measured after its beginning.

    >>> num_epochs(1000), num_epochs(160), num_epochs(1)
    (3, 9, 1440)
    """
    return max(EPOCHS, -(-(WARM_UP + MIN_BATCHES) * BATCH // num_photos))


def _photos_per_second(batches: Iterator[object]) -> float:
    for _ in range(WARM_UP):
        next(batches)
    started = time.perf_counter()
    count = sum(BATCH for _ in batches)
    return count / (time.perf_counter() - started)


def loaders_table(rows: list[Row]) -> Table:
    """For people; the ratio is that of our photos per second to the loader's."""
    ours = {row["workers"]: float(row["photos_per_second"]) for row in rows if row["loader"] == OURS}
    table = Table(title="training crops of 224 x 224")
    for heading in ("loader", "workers", "photos/s", "incdet's ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        speed = float(row["photos_per_second"])
        table.add_row(str(row["loader"]), str(row["workers"]), f"{speed:.0f}", f"{ours[row['workers']] / speed:.2f}")
    return table
