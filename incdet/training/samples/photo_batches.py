"""Batches of whole photos and of regions in them, for networks that learn on shared features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.impossible_boxes import learnable
from incdet.data.photo_frame import fit_to_photo
from incdet.errors import ImageError
from incdet.networks.weights_record import Preprocessing
from incdet.ops.photo_scaling import resize_photo, scaled_size
from incdet.ops.region_pooling import regions_in_cells
from incdet.runtime.distributed import Processes
from incdet.structures import Image
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.samples.balanced_order import balanced_order
from incdet.training.samples.batch_loading import MAX_ATTEMPTS, MAX_BAD_SHARE, load_batches, warn_about_replaced_photos
from incdet.training.samples.epoch_order import EpochBatchSampler, SampleKey
from incdet.training.samples.photo_region_sampler import PhotoRegionSampler
from incdet.training.samples.photo_store import PhotoStore


@dataclass(eq=False)
class PhotoBatch:
    """The photos and regions that a step learns from; all tensors are on the CPU.

    Attributes:
        photos: B tensors [1, 3, H, W] float32, preprocessed, each of a size of its own; none where the feature maps
            of photos are cached.
        indices: indices of the B photos.
        flipped: whether each of the B photos is mirrored.
        photo_sides: lengths of the shorter sides of the B photos, resized, in pixels.
        regions: [B, R, 4] float32, regions in cells of the feature maps; see `regions_in_cells`.
        targets: [B, R, C + 1] float32, probabilities of the classes and, last, of background.
        box_deltas: [B, R, 4] float32, from the regions to the boxes of their objects.
        teaches_box: [B, R] bool, whether the box deltas are learnt.
        names: files of the B photos.
        problems: one sentence for every photo that could not be read.
    """

    photos: list[Tensor]
    indices: list[int]
    flipped: list[bool]
    photo_sides: list[int]
    regions: Tensor
    targets: Tensor
    box_deltas: Tensor
    teaches_box: Tensor
    names: list[str]
    problems: list[str] = field(default_factory=list)

    def pin_memory(self) -> Self:
        """Returns the batch in memory that a GPU copies from by itself; torch's loader calls this."""
        return replace(
            self,
            photos=[photo.pin_memory() for photo in self.photos],
            regions=self.regions.pin_memory(),
            targets=self.targets.pin_memory(),
            box_deltas=self.box_deltas.pin_memory(),
            teaches_box=self.teaches_box.pin_memory(),
        )


@dataclass(frozen=True, eq=False)
class LearntPhotos:
    """The photos that are learnt, and what is known about them.

    Attributes:
        dataset: the photos and their objects.
        num_exhaustive: number of photos, the first ones, in which every object is annotated.
        weights: [N] float64, weight with which each photo is drawn.
        proposals: finds their proposals.
        preprocessing: context, crop size and colours that the network expects.
    """

    dataset: Dataset
    num_exhaustive: int
    weights: np.ndarray
    proposals: PhotoProposals
    preprocessing: Preprocessing


class _PhotoSamples(TorchDataset[PhotoBatch]):
    """Key -> a batch of one photo; the same key gives the same sample in every worker."""

    def __init__(self, photos: LearntPhotos, sampler: PhotoRegionSampler, seed: int, gigabytes: float):
        self.photos, self.sampler, self.seed = photos, sampler, seed
        self.store = PhotoStore(photos.dataset.image_paths, gigabytes)

    def __getitem__(self, key: SampleKey) -> PhotoBatch:
        problems: list[str] = []
        for photo in self._candidates(key.photo):
            try:
                return replace(self._sample(SampleKey(key.number, photo)), problems=problems)
            except ImageError as error:
                # an exception would reach the process that trains as a traceback of many lines
                problems.append(str(error))
        nothing = torch.zeros(0)
        return PhotoBatch([], [], [], [], nothing, nothing, nothing, nothing, [], problems)

    def _candidates(self, first: int) -> list[int]:
        """The photo and those that may take its place: the next ones that have regions."""
        drawable = np.flatnonzero(self.photos.weights > 0)
        others = np.roll(drawable, -int(np.searchsorted(drawable, first, side="right")))
        return [first, *others[: MAX_ATTEMPTS - 1].tolist()]

    def _sample(self, key: SampleKey) -> PhotoBatch:
        photos, shared = self.photos, self.sampler.shared
        path = photos.dataset.image_paths[key.photo]
        known = photos.proposals(path, num_threads=1)
        truth = learnable(fit_to_photo(photos.dataset.ground_truths[key.photo], known.width, known.height, path))
        # the order of these draws belongs to the results: another order draws other samples from the same seed
        generator = np.random.default_rng([self.seed, key.number])
        is_flipped = bool(generator.random() < self.sampler.sampling.flip_probability)
        # where an object has no possible box, anything may show it
        is_exhaustive = key.photo < photos.num_exhaustive and truth.num_impossible == 0
        drawn = self.sampler.draw(truth, known.proposals, is_exhaustive, is_flipped, generator)
        width, height = scaled_size(known.width, known.height, drawn.photo_side)
        scale = np.array([width / known.width, height / known.height], np.float32)
        preprocessing = photos.preprocessing
        regions = regions_in_cells(drawn.boxes, scale, preprocessing.context, preprocessing.size)
        inputs = []
        if not shared.cache_features:
            gain = generator.uniform(1 - shared.color_gain, 1 + shared.color_gain)
            shift = shared.color_shift * (generator.uniform(-1, 1) + generator.uniform(-0.5, 0.5, 3))
            inputs = [photo_tensor(self.store(key.photo), drawn.photo_side, is_flipped, preprocessing, gain, shift)]
        return PhotoBatch(
            inputs,
            [key.photo],
            [is_flipped],
            [drawn.photo_side],
            torch.from_numpy(regions)[None],
            torch.from_numpy(drawn.targets)[None],
            torch.from_numpy(drawn.box_deltas)[None],
            torch.from_numpy(drawn.teaches_box)[None],
            [str(path)],
        )


def photo_tensor(
    image: Image,
    side: int,
    is_flipped: bool,
    preprocessing: Preprocessing,
    gain: float = 1.0,
    shift: np.ndarray | None = None,
) -> Tensor:
    """Resizes, mirrors and colours a photo for the network.

    Args:
        image: the photo.
        side: length to which its shorter side is resized, in pixels.
        is_flipped: whether it is mirrored.
        preprocessing: mean and scale of the colours.
        gain: factor of all colours.
        shift: [3] grey levels that are added to red, green and blue after that; None adds nothing.

    Returns:
        [1, 3, H, W] float32, preprocessed, channels last in memory.
    """
    pixels = resize_photo(image.pixels, *scaled_size(image.width, image.height, side))
    if is_flipped:
        pixels = cv2.flip(pixels, 1)
    colored = torch.from_numpy(pixels)[None].float() * gain
    noise = None if shift is None else torch.from_numpy(shift.astype(np.float32))[None]
    return preprocessing.apply(colored, noise)


def photo_batches(
    photos: LearntPhotos,
    sampler: PhotoRegionSampler,
    batch_size: int,
    seed: int,
    num_workers: int,
    memory_gigabytes: float = 0.0,
    processes: Processes | None = None,
    warn: Warn = no_warning,
    max_bad_share: float = MAX_BAD_SHARE,
) -> Callable[[range], Iterator[PhotoBatch]]:
    """Returns `Task.batches`: steps -> this process's share of their batches of photos.

    Args:
        photos: the photos.
        sampler: draws the regions of a photo.
        batch_size: number of photos that this process takes at a step.
        seed: seed of the order, the regions, and the sizes and colours of the photos.
        num_workers: number of processes that read photos and draw regions; 0 does it in this process.
        memory_gigabytes: largest size of the decoded photos that this machine keeps in memory; its processes and their
            workers share it evenly.
        processes: this process among those that train together; None is this one alone.
        warn: takes a sentence about every photo that cannot be read.
        max_bad_share: largest share of the photos that the training does without.

    Returns:
        A function that raises DataError where too many photos cannot be read.
    """
    processes = processes or Processes()
    gigabytes = memory_gigabytes / processes.count_here / max(num_workers, 1)

    def batches(steps: range) -> Iterator[PhotoBatch]:
        samples = _PhotoSamples(photos, sampler, seed, gigabytes)
        order = partial(balanced_order, photos.weights)
        every = np.arange(len(photos.weights))
        keys = EpochBatchSampler(order, every, seed, steps, batch_size, processes)
        loaded = load_batches(samples, keys, _collate, num_workers)
        yield from warn_about_replaced_photos(loaded, batch_size, len(photos.weights), warn, max_bad_share)

    return batches


def _collate(samples: Sequence[PhotoBatch]) -> PhotoBatch:
    """Joins batches of one photo."""
    problems = [problem for sample in samples for problem in sample.problems]
    readable = [sample for sample in samples if sample.names] or samples[:1]
    return PhotoBatch(
        [photo for sample in readable for photo in sample.photos],
        [index for sample in readable for index in sample.indices],
        [is_flipped for sample in readable for is_flipped in sample.flipped],
        [photo_side for sample in readable for photo_side in sample.photo_sides],
        torch.cat([sample.regions for sample in readable]),
        torch.cat([sample.targets for sample in readable]),
        torch.cat([sample.box_deltas for sample in readable]),
        torch.cat([sample.teaches_box for sample in readable]),
        [name for sample in readable for name in sample.names],
        problems,
    )
