"""Batches of distorted crops for the classifier of whole photos."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.data.dataset import Warn, no_warning
from incdet.runtime.distributed import Processes
from incdet.training.samples.batch_loading import (
    MAX_BAD_SHARE,
    load_batches,
    read_first_readable,
    warn_about_replaced_photos,
)
from incdet.training.samples.distortions import DistortionsConfig, distorted_crop
from incdet.training.samples.epoch_order import EpochBatchSampler, SampleKey
from incdet.training.samples.photo_sources import PhotoSource


@dataclass(eq=False)
class CropBatch:
    """The crops that a step learns from; all tensors are on the CPU.

    Attributes:
        crops: [B, size, size, 3] uint8, RGB.
        noise: [B, 3] float32, grey levels that are added to every pixel of a crop.
        targets: [B] int64, class ids.
        names: names of the B photos.
        problems: one sentence for every photo that could not be read.
    """

    crops: Tensor
    noise: Tensor
    targets: Tensor
    names: list[str]
    problems: list[str] = field(default_factory=list)

    def pin_memory(self) -> Self:
        """Returns the batch in memory that a GPU copies from by itself; torch's loader calls this."""
        return replace(
            self, crops=self.crops.pin_memory(), noise=self.noise.pin_memory(), targets=self.targets.pin_memory()
        )


class _CropSamples(TorchDataset[CropBatch]):
    """Key -> a batch of one crop; where its photo cannot be read, the next chosen photo takes its place."""

    def __init__(
        self, source: PhotoSource, chosen: np.ndarray, size: int, distortions: DistortionsConfig, seed: int
    ) -> None:
        self.source, self.chosen, self.size, self.distortions, self.seed = source, chosen, size, distortions, seed

    def __getitem__(self, key: SampleKey) -> CropBatch:
        # a photo that is kept out of training replaces none
        found, problems = read_first_readable(self.source.read, key.photo, self.chosen, self.source.groups)
        if found is None:
            return CropBatch(torch.zeros(0), torch.zeros(0), torch.zeros(0), [], problems)
        # the class is that of the photo that was read, which may be another one than the key's
        index, image = found
        # the same key gives the same distortions in every worker
        generator = np.random.default_rng([self.seed, key.number])
        crop, noise = distorted_crop(image.pixels, self.size, self.distortions, generator)
        return CropBatch(
            torch.from_numpy(crop)[None],
            torch.from_numpy(noise)[None],
            torch.tensor([self.source.class_ids[index]]),
            [self.source.name(index)],
            problems,
        )


def crop_batches(
    source: PhotoSource,
    chosen: np.ndarray,
    size: int,
    distortions: DistortionsConfig,
    batch_size: int,
    seed: int,
    num_workers: int,
    processes: Processes | None = None,
    warn: Warn = no_warning,
    max_bad_share: float = MAX_BAD_SHARE,
) -> Callable[[range], Iterator[CropBatch]]:
    """Returns `Task.batches`: steps -> this process's share of their batches of distorted crops.

    Args:
        source: the photos.
        chosen: [K] int64, indices of the photos that are used, ascending.
        size: side of the crops, in pixels.
        distortions: strength of the distortions.
        batch_size: number of crops that this process takes at a step.
        seed: seed of the orders and the distortions.
        num_workers: number of processes that read and distort; 0 does it in this process.
        processes: this process among those that train together; None is this one alone.
        warn: takes a sentence about every photo that cannot be read.
        max_bad_share: largest share of the photos that the training does without.

    Returns:
        A function that raises DataError where too many photos in a row cannot be read.
    """

    def batches(steps: range) -> Iterator[CropBatch]:
        samples = _CropSamples(source, chosen, size, distortions, seed)
        keys = EpochBatchSampler(source.order, chosen, seed, steps, batch_size, processes or Processes())
        loaded = load_batches(samples, keys, _collate, num_workers)
        # of a detection data set, one photo gives many samples
        num_photos = len(np.unique(source.groups[chosen]))
        yield from warn_about_replaced_photos(loaded, batch_size, num_photos, warn, max_bad_share)

    return batches


def _collate(samples: Sequence[CropBatch]) -> CropBatch:
    """Joins batches of one crop; samples without a readable photo only lend their problems."""
    # without any readable photo the tensors are empty, and the reader of the batch raises an error
    readable = [sample for sample in samples if sample.names] or samples[:1]
    return CropBatch(
        torch.cat([sample.crops for sample in readable]),
        torch.cat([sample.noise for sample in readable]),
        torch.cat([sample.targets for sample in readable]),
        [name for sample in samples for name in sample.names],
        [problem for sample in samples for problem in sample.problems],
    )
