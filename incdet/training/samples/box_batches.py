"""Batches of photo crops and of the boxes in them, for MultiBox."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.runtime.distributed import Processes
from incdet.training.samples.annotated_photos import read_annotated, shuffled_photos
from incdet.training.samples.batch_loading import (
    MAX_BAD_SHARE,
    load_batches,
    read_first_readable,
    warn_about_replaced_photos,
)
from incdet.training.samples.box_samples import BoxSamplingConfig, box_sample
from incdet.training.samples.epoch_order import EpochBatchSampler, SampleKey


@dataclass(eq=False)
class BoxBatch:
    """The crops and boxes that a step learns from; all tensors are on the CPU.

    Attributes:
        crops: [B, size, size, 3] uint8, RGB.
        noise: [B, 3] float32, grey levels that are added to every pixel of a crop.
        boxes_unit: B tensors [K, 4] float32, corners of the objects, normalised to [0, 1] of the crop; K may be 0.
        names: names of the B photos.
        problems: one sentence for every photo that could not be read.
    """

    crops: Tensor
    noise: Tensor
    boxes_unit: list[Tensor]
    names: list[str]
    problems: list[str] = field(default_factory=list)

    def pin_memory(self) -> Self:
        """Returns the batch in memory that a GPU copies from by itself; torch's loader calls this."""
        return replace(self, crops=self.crops.pin_memory(), noise=self.noise.pin_memory())


class _BoxSamples(TorchDataset[BoxBatch]):
    """Key -> a batch of one crop; where its photo cannot be read, the next photo takes its place."""

    def __init__(self, dataset: Dataset, size: int, config: BoxSamplingConfig, seed: int):
        self.dataset, self.size, self.config, self.seed = dataset, size, config, seed

    def __getitem__(self, key: SampleKey) -> BoxBatch:
        every = np.arange(len(self.dataset))
        found, problems = read_first_readable(partial(read_annotated, self.dataset), key.photo, every)
        if found is None:
            return BoxBatch(torch.zeros(0), torch.zeros(0), [], [], problems)
        index, (image, truth) = found
        # the same key gives the same crop in every worker
        generator = np.random.default_rng([self.seed, key.number])
        crop, noise, boxes_unit = box_sample(image, truth, self.size, self.config, generator)
        return BoxBatch(
            torch.from_numpy(crop)[None],
            torch.from_numpy(noise)[None],
            [torch.from_numpy(boxes_unit)],
            [str(self.dataset.image_paths[index])],
            problems,
        )


def box_batches(
    dataset: Dataset,
    size: int,
    config: BoxSamplingConfig,
    batch_size: int,
    seed: int,
    num_workers: int,
    processes: Processes | None = None,
    warn: Warn = no_warning,
    max_bad_share: float = MAX_BAD_SHARE,
) -> Callable[[range], Iterator[BoxBatch]]:
    """Returns `Task.batches`: steps -> this process's share of their batches of photo crops.

    Args:
        dataset: the photos and their objects.
        size: side of the crops, in pixels.
        config: choice and distortion of the crops.
        batch_size: number of crops that this process takes at a step.
        seed: seed of the orders and the crops.
        num_workers: number of processes that read and distort; 0 does it in this process.
        processes: this process among those that train together; None is this one alone.
        warn: takes a sentence about every photo that cannot be read.
        max_bad_share: largest share of the photos that the training does without.

    Returns:
        A function that raises DataError where too many photos in a row cannot be read.
    """

    def batches(steps: range) -> Iterator[BoxBatch]:
        samples = _BoxSamples(dataset, size, config, seed)
        every = np.arange(len(dataset))
        keys = EpochBatchSampler(
            partial(shuffled_photos, dataset), every, seed, steps, batch_size, processes or Processes()
        )
        loaded = load_batches(samples, keys, _collate, num_workers)
        yield from warn_about_replaced_photos(loaded, batch_size, len(dataset), warn, max_bad_share)

    return batches


def _collate(samples: Sequence[BoxBatch]) -> BoxBatch:
    """Joins batches of one crop; samples without a readable photo only lend their problems."""
    # without any readable photo the tensors are empty, and the reader of the batch raises an error
    readable = [sample for sample in samples if sample.names] or samples[:1]
    return BoxBatch(
        torch.cat([sample.crops for sample in readable]),
        torch.cat([sample.noise for sample in readable]),
        [boxes for sample in samples for boxes in sample.boxes_unit],
        [name for sample in samples for name in sample.names],
        [problem for sample in samples for problem in sample.problems],
    )
