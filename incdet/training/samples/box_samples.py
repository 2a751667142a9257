"""Training samples of MultiBox: parts of photos at many scales, squared, with the objects that lie in them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.config.sections import Section, Unit
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.ops.boxes import box_areas, clip_boxes, flip_boxes
from incdet.runtime.distributed import Processes
from incdet.structures import GroundTruth, Image
from incdet.training.samples.distortions import DistortionsConfig, distort_colors, principal_noise, resized, sample_area
from incdet.training.samples.loading import ATTEMPTS, Place, Places, load, without_gaps


class BoxSamplingConfig(Section):
    """What the network is shown.

    Attributes:
        whole_share: share of samples that are whole photos, photo_crops into a square as in inference.
        visible_share: an object counts in a part of its photo that shows its centre and this share of its area.
        distortions: areas and shapes of the parts, mirroring, colours.
    """

    whole_share: Unit = 0.5
    visible_share: Unit = 0.5
    distortions: DistortionsConfig = DistortionsConfig(area=(0.15, 1.0), interpolations=("bilinear", "area"))


@dataclass(eq=False)
class BoxBatch:
    """What a step learns from; everything is on the CPU.

    Attributes:
        crops: [B, size, size, 3] uint8, RGB.
        noise: [B, 3] float32, to be added to every pixel of a crop.
        boxes_unit: B arrays [K, 4] float32, the objects' corners in shares of the crop; K may be 0.
        names: B names of photos.
        problems: why photos that were to be here are not.
    """

    crops: Tensor
    noise: Tensor
    boxes_unit: list[Tensor]
    names: list[str]
    problems: list[str] = field(default_factory=list)

    def pin_memory(self) -> Self:
        """The batch in memory that a GPU copies from by itself (called by torch's loader)."""
        return replace(self, crops=self.crops.pin_memory(), noise=self.noise.pin_memory())


def box_sample(
    image: Image, truth: GroundTruth, size: int, config: BoxSamplingConfig, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A part of a photo as the network sees it.

    Args:
        image: the photo.
        truth: its objects, in the photo's pixels; ignored ones are left out.
        size: of the crop, in pixels.
        config: how parts are chosen.
        generator: of everything random.

    Returns:
        Crop [size, size, 3] uint8, noise [3] float32, and the objects in it [K, 4] float32, in shares of the crop.
    """
    area = (0, 0, image.width, image.height)
    if generator.random() >= config.whole_share:
        area = sample_area(image.width, image.height, config.distortions, generator)
    left, top, right, bottom = area
    boxes = objects_inside(truth.boxes[~truth.ignored], area, config.visible_share)
    crop = resized(image.pixels, area, size, config.distortions, generator)
    if generator.random() < config.distortions.mirror:
        crop, boxes = cv2.flip(crop, 1), flip_boxes(boxes, right - left)
    crop = distort_colors(crop, config.distortions.photometric, generator)
    boxes_unit = boxes / np.array([right - left, bottom - top] * 2, np.float32)
    return crop, principal_noise(config.distortions.noise, generator), boxes_unit


def objects_inside(boxes: np.ndarray, area: tuple[int, int, int, int], visible_share: float) -> np.ndarray:
    """The boxes [N, 4] whose centre and at least a share of whose surface lie in a part of the photo.

    Returns:
        [K, 4] float32, in pixels of the part, cut at its borders; boxes without surface are left out.
    """
    left, top, right, bottom = area
    moved = boxes - np.array([left, top, left, top], np.float32)
    clipped = clip_boxes(moved, right - left, bottom - top)
    centres = (moved[:, :2] + moved[:, 2:]) / 2
    inside = ((centres >= 0) & (centres < [right - left, bottom - top])).all(axis=1)
    visible = box_areas(clipped)
    return clipped[inside & (visible > 0) & (visible >= visible_share * box_areas(boxes))]


class _BoxSamples(TorchDataset[BoxBatch]):
    """Place -> a batch of one."""

    def __init__(self, dataset: Dataset, size: int, config: BoxSamplingConfig, seed: int):
        self.dataset, self.size, self.config, self.seed = dataset, size, config, seed

    def __getitem__(self, place: Place) -> BoxBatch:
        generator = np.random.default_rng([self.seed, place.number])
        problems: list[str] = []
        for attempt in range(ATTEMPTS):
            index = (place.index + attempt) % len(self.dataset)
            try:
                image = read_image(self.dataset.image_paths[index])
            except ImageError as error:
                problems.append(str(error))
                continue
            truth = self.dataset.ground_truths[index].rescaled(image.width, image.height)
            crop, noise, boxes = box_sample(image, truth, self.size, self.config, generator)
            name = str(self.dataset.image_paths[index])
            tensors = torch.from_numpy(crop)[None], torch.from_numpy(noise)[None], [torch.from_numpy(boxes)]
            return BoxBatch(*tensors, [name], problems)
        return BoxBatch(torch.zeros(0), torch.zeros(0), [], [], problems)


def box_batches(
    dataset: Dataset,
    size: int,
    config: BoxSamplingConfig,
    batch_size: int,
    seed: int,
    num_workers: int,
    processes: Processes | None = None,
    warn: Warn = no_warning,
) -> Callable[[range], Iterator[BoxBatch]]:
    """`Task.batches` of parts of photos; see `training_crops.crop_batches` for the arguments."""

    def batches(steps: range) -> Iterator[BoxBatch]:
        every = np.arange(len(dataset))
        places = Places(
            lambda generator: generator.permutation(every), every, seed, steps, batch_size, processes or Processes()
        )
        yield from without_gaps(
            load(_BoxSamples(dataset, size, config, seed), places, _join, num_workers), batch_size, warn
        )

    return batches


def _join(samples: Sequence[BoxBatch]) -> BoxBatch:
    readable = [sample for sample in samples if sample.names] or samples[:1]
    return BoxBatch(
        torch.cat([sample.crops for sample in readable]),
        torch.cat([sample.noise for sample in readable]),
        [boxes for sample in samples for boxes in sample.boxes_unit],
        [name for sample in samples for name in sample.names],
        [problem for sample in samples for problem in sample.problems],
    )
