"""Batches of distorted crops, made by worker processes; which crop comes where depends on the seed alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.classifier import crop_image
from incdet.data.dataset import Warn, no_warning
from incdet.errors import ImageError
from incdet.networks.weights import Preprocessing
from incdet.runtime.distributed import Processes
from incdet.training.samples.distortions import DistortionsConfig, distorted_crop
from incdet.training.samples.loading import ATTEMPTS, Place, Places, load, without_gaps
from incdet.training.samples.photo_sources import PhotoSource


@dataclass(eq=False)
class CropBatch:
    """What a step learns from; everything is on the CPU.

    Attributes:
        crops: [B, size, size, 3] uint8, RGB.
        noise: [B, 3] float32, to be added to every pixel of a crop.
        targets: [B] int64, class ids.
        names: B names of photos.
        problems: why photos that were to be here are not.
    """

    crops: Tensor
    noise: Tensor
    targets: Tensor
    names: list[str]
    problems: list[str] = field(default_factory=list)

    def pin_memory(self) -> Self:
        """The batch in memory that a GPU copies from by itself (called by torch's loader)."""
        return replace(self, **{name: getattr(self, name).pin_memory() for name in ("crops", "noise", "targets")})


class _TrainingCrops(TorchDataset[CropBatch]):
    """Place -> a batch of one."""

    def __init__(self, source: PhotoSource, size: int, distortions: DistortionsConfig, seed: int):
        self.source, self.size, self.distortions, self.seed = source, size, distortions, seed

    def __getitem__(self, place: Place) -> CropBatch:
        """The crop; in the place of an unreadable photo that of the next one.

        Raises:
            DataError: the next ones are unreadable, too.
        """
        generator = np.random.default_rng([self.seed, place.number])
        problems: list[str] = []
        for attempt in range(ATTEMPTS):
            index = (place.index + attempt) % len(self.source.class_ids)
            try:
                pixels = self.source.read(index).pixels
            except ImageError as error:
                problems.append(str(error))
                continue
            crop, noise = distorted_crop(pixels, self.size, self.distortions, generator)
            target = torch.tensor([self.source.class_ids[index]])
            name = self.source.name(index)
            return CropBatch(torch.from_numpy(crop)[None], torch.from_numpy(noise)[None], target, [name], problems)
        nothing = torch.zeros(0)
        return CropBatch(nothing, nothing, nothing, [], problems)


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
) -> Callable[[range], Iterator[CropBatch]]:
    """`Task.batches`: steps -> their batches of distorted crops; this process's part of them, where there are several.

    Args:
        source: of the photos.
        chosen: [K] indices of those that are used.
        size: of the crops, in pixels.
        distortions: how much is distorted.
        batch_size: crops of this process.
        seed: of orders and distortions.
        num_workers: processes that read and distort; 0 does it in between.
        processes: which samples are this process's.
        warn: told of every photo that cannot be read; the next photo takes its place.
    """

    def batches(steps: range) -> Iterator[CropBatch]:
        places = Places(source.order, chosen, seed, steps, batch_size, processes or Processes())
        yield from without_gaps(
            load(_TrainingCrops(source, size, distortions, seed), places, _join, num_workers), batch_size, warn
        )

    return batches


def _join(samples: Sequence[CropBatch]) -> CropBatch:
    readable = [sample for sample in samples if sample.names] or samples[:1]
    crops, noise, targets = (
        torch.cat([getattr(sample, name) for sample in readable]) for name in ("crops", "noise", "targets")
    )
    names = [name for sample in samples for name in sample.names]
    return CropBatch(crops, noise, targets, names, [problem for sample in samples for problem in sample.problems])


class _CentreCrops(TorchDataset[tuple[Tensor, int]]):
    """Index -> the preprocessed centre of the photo [3, size, size], and its class; None where it cannot be read."""

    def __init__(self, source: PhotoSource, preprocessing: Preprocessing):
        self.source, self.preprocessing = source, preprocessing

    def __getitem__(self, index: int) -> tuple[Tensor, int] | None:  # type: ignore[override]
        try:
            image = self.source.read(index)
        except ImageError:
            return None
        return crop_image(image, self.preprocessing, 1)[0], int(self.source.class_ids[index])


def centre_batches(
    source: PhotoSource, chosen: np.ndarray, preprocessing: Preprocessing, batch_size: int, num_workers: int
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """The centre crops [B, 3, size, size] of the chosen photos in order, and class ids [B]; without unreadable ones."""
    batches = [chosen[start : start + batch_size].tolist() for start in range(0, len(chosen), batch_size)]
    for samples in load(_CentreCrops(source, preprocessing), batches, _readable, num_workers):
        if samples:
            crops, class_ids = zip(*samples, strict=True)
            yield torch.stack(crops), np.array(class_ids)


def _readable(samples: Sequence[tuple[Tensor, int] | None]) -> list[tuple[Tensor, int]]:
    return [sample for sample in samples if sample is not None]
