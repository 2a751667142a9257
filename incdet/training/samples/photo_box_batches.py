"""Batches of whole photos and of the boxes in them, for MultiBox on shared feature maps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import flip_boxes
from incdet.ops.photo_scaling import scaled_size
from incdet.runtime.distributed import Processes
from incdet.structures import GroundTruth, Image
from incdet.training.samples.annotated_photos import read_annotated, shuffled_photos
from incdet.training.samples.batch_loading import (
    MAX_BAD_SHARE,
    load_batches,
    read_first_readable,
    warn_about_replaced_photos,
)
from incdet.training.samples.epoch_order import EpochBatchSampler, SampleKey
from incdet.training.samples.photo_batches import photo_tensor
from incdet.training.samples.shared_multibox_config import SharedMultiBoxConfig


@dataclass(eq=False)
class PhotoBoxBatch:
    """The photos and boxes that a step learns from; all tensors are on the CPU.

    Attributes:
        photos: B tensors [1, 3, H, W] float32, preprocessed, each of a size of its own.
        boxes: B tensors [K, 4] float32, corners of the objects, xyxy pixels of the resized photo; K may be 0.
        names: files of the B photos.
        problems: one sentence for every photo that could not be read.
    """

    photos: list[Tensor]
    boxes: list[Tensor]
    names: list[str]
    problems: list[str] = field(default_factory=list)

    def pin_memory(self) -> Self:
        """Returns the batch in memory that a GPU copies from by itself; torch's loader calls this."""
        return replace(self, photos=[photo.pin_memory() for photo in self.photos])


@dataclass(frozen=True, eq=False)
class PhotoBoxSampler:
    """Draws the size, the mirroring and the colours at which a photo is learnt.

    Attributes:
        config: ranges of what is drawn.
        preprocessing: colours that the network expects.
    """

    config: SharedMultiBoxConfig
    preprocessing: Preprocessing

    def __call__(self, image: Image, truth: GroundTruth, generator: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        """Draws a sample.

        Args:
            image: the photo.
            truth: its objects, in pixels of the photo; ignored ones are left out.
            generator: source of everything random.

        Returns:
            The network's input [1, 3, H, W] float32, and the boxes of the objects [K, 4] float32 in its pixels.
        """
        config = self.config
        # every ratio of sizes is as likely as any other
        photo_side = round(float(np.exp(generator.uniform(*np.log(config.photo_sides)))))
        is_flipped = bool(generator.random() < config.flip_probability)
        gain = generator.uniform(1 - config.color_gain, 1 + config.color_gain)
        shift = config.color_shift * (generator.uniform(-1, 1) + generator.uniform(-0.5, 0.5, 3))
        photo = photo_tensor(image, photo_side, is_flipped, self.preprocessing, gain, shift)
        width, height = scaled_size(image.width, image.height, photo_side)
        boxes = truth.boxes[~truth.ignored] * np.array([width / image.width, height / image.height] * 2, np.float32)
        return photo, flip_boxes(boxes, width) if is_flipped else boxes


class _PhotoBoxSamples(TorchDataset[PhotoBoxBatch]):
    """Key -> a batch of one photo; where it cannot be read, the next photo takes its place."""

    def __init__(self, dataset: Dataset, sampler: PhotoBoxSampler, seed: int):
        self.dataset, self.sampler, self.seed = dataset, sampler, seed

    def __getitem__(self, key: SampleKey) -> PhotoBoxBatch:
        every = np.arange(len(self.dataset))
        found, problems = read_first_readable(partial(read_annotated, self.dataset), key.photo, every)
        if found is None:
            return PhotoBoxBatch([], [], [], problems)
        index, (image, truth) = found
        # the same key gives the same sample in every worker
        photo, boxes = self.sampler(image, truth, np.random.default_rng([self.seed, key.number]))
        return PhotoBoxBatch([photo], [torch.from_numpy(boxes)], [str(self.dataset.image_paths[index])], problems)


def photo_box_batches(
    dataset: Dataset,
    sampler: PhotoBoxSampler,
    batch_size: int,
    seed: int,
    num_workers: int,
    processes: Processes | None = None,
    warn: Warn = no_warning,
    max_bad_share: float = MAX_BAD_SHARE,
) -> Callable[[range], Iterator[PhotoBoxBatch]]:
    """Returns `Task.batches`: steps -> this process's share of their batches of photos.

    Args:
        dataset: the photos and their objects.
        sampler: draws sizes, mirroring and colours.
        batch_size: number of photos that this process takes at a step.
        seed: seed of the orders and of the sampler.
        num_workers: number of processes that read photos; 0 does it in this process.
        processes: this process among those that train together; None is this one alone.
        warn: takes a sentence about every photo that cannot be read.
        max_bad_share: largest share of the photos that the training does without.

    Returns:
        A function that raises DataError where too many photos in a row cannot be read.
    """

    def batches(steps: range) -> Iterator[PhotoBoxBatch]:
        samples, every = _PhotoBoxSamples(dataset, sampler, seed), np.arange(len(dataset))
        keys = EpochBatchSampler(
            partial(shuffled_photos, dataset), every, seed, steps, batch_size, processes or Processes()
        )
        loaded = load_batches(samples, keys, _collate, num_workers)
        yield from warn_about_replaced_photos(loaded, batch_size, len(dataset), warn, max_bad_share)

    return batches


def _collate(samples: Sequence[PhotoBoxBatch]) -> PhotoBoxBatch:
    """Joins batches of one photo; samples without a readable photo only lend their problems."""
    return PhotoBoxBatch(
        [photo for sample in samples for photo in sample.photos],
        [boxes for sample in samples for boxes in sample.boxes],
        [name for sample in samples for name in sample.names],
        [problem for sample in samples for problem in sample.problems],
    )
