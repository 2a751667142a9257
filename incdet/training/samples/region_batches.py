"""Batches of regions, cut out of their photos by worker processes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.data.dataset import Warn, no_warning
from incdet.errors import ImageError
from incdet.networks.weights_record import Preprocessing
from incdet.regions import RegionCropper
from incdet.runtime.distributed import Processes
from incdet.training.samples.batch_loading import MAX_BAD_SHARE, load_batches, warn_about_replaced_photos
from incdet.training.samples.photo_store import PhotoStore
from incdet.training.samples.region_sampler import RegionSampler

CPU = torch.device("cpu")


@dataclass(eq=False)
class RegionBatch:
    """The regions that a step learns from; all tensors are on the CPU.

    Attributes:
        crops: [B, 3, size, size] float32, preprocessed.
        targets: [B, C + 1] float32, probabilities of the classes and, last, of background.
        names: names of the B regions: the photo and the box.
        problems: one sentence for every photo that could not be read.
    """

    crops: Tensor
    targets: Tensor
    names: list[str]
    problems: list[str] = field(default_factory=list)

    def pin_memory(self) -> Self:
        """Returns the batch in memory that a GPU copies from by itself; torch's loader calls this."""
        return replace(self, crops=self.crops.pin_memory(), targets=self.targets.pin_memory())


@dataclass(frozen=True, eq=False)
class RegionKey:
    """The key by which a worker makes a sample: the K regions of one photo that a batch holds.

    Attributes:
        photo: index of the photo.
        positions: [K] int64, places of the regions in the batch.
        boxes: [K, 4] float32, xyxy pixels of the photo.
        flipped: [K] bool, the regions that are mirrored.
        targets: [K, C + 1] float32, probabilities of the classes and, last, of background.
    """

    photo: int
    positions: np.ndarray
    boxes: np.ndarray
    flipped: np.ndarray
    targets: np.ndarray


class RegionBatchSampler:
    """The keys of every step's batch, in the form of torch's batch samplers.

    Regions are drawn here, in the process that trains, so the workers need no copy of the pool.

    Args:
        sampler: draws the regions.
        seed: seed of the training.
        steps: the steps of the training that are still to come.
        batch_size: number of regions that this process takes at a step.
        processes: this process among those that train together.
    """

    def __init__(self, sampler: RegionSampler, seed: int, steps: range, batch_size: int, processes: Processes):
        self.sampler, self.seed, self.steps = sampler, seed, steps
        self.batch_size, self.processes = batch_size, processes

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[RegionKey]]:
        for step in self.steps:
            # all processes draw the regions of all, then each takes its own
            rows, flipped = self.sampler.draw(step, self.batch_size * self.processes.count, self.seed)
            own = slice(self.processes.rank, None, self.processes.count)
            yield self._keys(rows[own], flipped[own])

    def _keys(self, rows: np.ndarray, flipped: np.ndarray) -> list[RegionKey]:
        """One key for every photo that has a region in the batch."""
        pool, targets = self.sampler.pool, self.sampler.targets(rows)
        photos = pool.images[rows]
        # a photo is read once for all its regions
        keys = []
        for photo in np.unique(photos):
            positions = np.flatnonzero(photos == photo)
            boxes = pool.boxes[rows[positions]]
            keys.append(RegionKey(int(photo), positions, boxes, flipped[positions], targets[positions]))
        return keys


@dataclass(frozen=True, eq=False)
class _PhotoSample:
    """The crops of one key.

    Attributes:
        key: the key.
        crops: [K, 3, size, size] float32; empty where the photo cannot be read.
        names: names of the K regions.
        problem: the reason why the photo cannot be read; None where it can.
    """

    key: RegionKey
    crops: Tensor
    names: list[str]
    problem: str | None = None


class _RegionSamples(TorchDataset[_PhotoSample]):
    """Key -> the crops of its regions."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing, gigabytes: float):
        self.paths, self.preprocessing = paths, preprocessing
        self.photos = PhotoStore(paths, gigabytes)

    def __getitem__(self, key: RegionKey) -> _PhotoSample:
        try:
            image = self.photos(key.photo)
        except ImageError as error:
            # an exception would reach the process that trains as a traceback of many lines
            return _PhotoSample(key, torch.zeros(0), [], str(error))
        crops = RegionCropper(image, self.preprocessing, CPU).crop(key.boxes, key.flipped)
        path = self.paths[key.photo]
        return _PhotoSample(key, crops, [f"{path} at {box.round().astype(int).tolist()}" for box in key.boxes])


def region_batches(
    sampler: RegionSampler,
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    batch_size: int,
    seed: int,
    num_workers: int,
    memory_gigabytes: float = 0.0,
    processes: Processes | None = None,
    warn: Warn = no_warning,
    max_bad_share: float = MAX_BAD_SHARE,
) -> Callable[[range], Iterator[RegionBatch]]:
    """Returns `Task.batches`: steps -> this process's share of their batches of regions.

    Args:
        sampler: draws the regions.
        paths: files of the photos, by the pool's index.
        preprocessing: size, context and colours of the crops.
        batch_size: number of regions that this process takes at a step.
        seed: seed of the training.
        num_workers: number of processes that read photos and cut regions; 0 does it in this process.
        memory_gigabytes: largest size of the decoded photos that this machine keeps in memory; its processes and their
            workers share it evenly.
        processes: this process among those that train together; None is this one alone.
        warn: takes a sentence about every photo that cannot be read; other regions of the batch take the place of its.
        max_bad_share: largest share of the photos that the training does without.

    Returns:
        A function that raises DataError where too many photos cannot be read.
    """
    processes = processes or Processes()
    # each worker keeps decoded photos of its own, because workers take batches in turns and meet all photos
    gigabytes = memory_gigabytes / processes.count_here / max(num_workers, 1)

    def batches(steps: range) -> Iterator[RegionBatch]:
        samples = _RegionSamples(paths, preprocessing, gigabytes)
        keys = RegionBatchSampler(sampler, seed, steps, batch_size, processes)
        loaded = load_batches(samples, keys, _collate, num_workers)
        yield from warn_about_replaced_photos(loaded, batch_size, len(paths), warn, max_bad_share)

    return batches


def _collate(samples: Sequence[_PhotoSample]) -> RegionBatch:
    """Puts the regions of several photos where the batch wants them; others stand again for those of bad photos."""
    problems = [sample.problem for sample in samples if sample.problem is not None]
    readable = [sample for sample in samples if sample.problem is None]
    if not readable:
        return RegionBatch(torch.zeros(0), torch.zeros(0), [], problems)
    num_regions = sum(len(sample.key.positions) for sample in samples)
    crops = torch.empty(num_regions, *readable[0].crops.shape[1:])
    targets = torch.empty(num_regions, readable[0].key.targets.shape[1])
    names = [""] * num_regions
    filled = np.zeros(num_regions, bool)
    for sample in readable:
        # the order in which regions were drawn, not that of the photos: dropout and rounding depend on it
        positions = torch.from_numpy(sample.key.positions)
        crops[positions] = sample.crops
        targets[positions] = torch.from_numpy(sample.key.targets)
        filled[sample.key.positions] = True
        for position, name in zip(sample.key.positions, sample.names, strict=True):
            names[position] = name
    present = np.flatnonzero(filled)
    for number, position in enumerate(np.flatnonzero(~filled).tolist()):
        other = int(present[number % len(present)])
        crops[position], targets[position], names[position] = crops[other], targets[other], names[other]
    return RegionBatch(crops, targets, names, problems)
