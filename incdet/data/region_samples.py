"""Training samples of the region classifier: R-CNN's positives and backgrounds, drawn reproducibly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from incdet.boxes import box_iou
from incdet.config import Section, Unit
from incdet.errors import DataError
from incdet.networks.weights import Preprocessing
from incdet.regions import RegionCropper
from incdet.structures import GroundTruth, Image, Proposals


class SamplingConfig(Section):
    """What a batch is made of.

    Attributes:
        positive_share: share of regions with an object; R-CNN's 32 of 128.
        positive_iou: smallest Jaccard index with an object's box to count as that object (R-CNN: 0.5).
        class_balance: a class is drawn with probability ~ (its number of boxes) ** class_balance: 1 draws objects
            evenly, 0 draws classes evenly.
        near_share: share of the backgrounds that touch an object with Jaccard index >= near_iou; the rest is any.
        near_iou: see near_share.
        flip_probability: of mirroring a region.
    """

    positive_share: Unit = 0.25
    positive_iou: float = Field(0.5, gt=0, le=1)
    class_balance: Unit = 1.0
    near_share: Unit = 0.0
    near_iou: Unit = 0.1
    flip_probability: Unit = 0.5


@dataclass(frozen=True, eq=False)
class RegionBatch:
    """What a step learns from.

    Attributes:
        crops: [B, 3, size, size] float32, preprocessed.
        targets: [B] int64, where background is the number of classes.
        rows: [B] int64, rows of the pool.
    """

    crops: Tensor
    targets: Tensor
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class RegionPool:
    """Every region that can be drawn: one row each.

    Attributes:
        images: [N] int32, which image.
        boxes: [N, 4] float32, xyxy pixels.
        objects: [N] int32, the object it covers, counted over all images; -1 is background.
        overlaps: [N] float32, the largest Jaccard index with any object.
        object_classes: [K] int64, class of every object.
    """

    images: np.ndarray
    boxes: np.ndarray
    objects: np.ndarray
    overlaps: np.ndarray
    object_classes: np.ndarray


def build_pool(
    ground_truths: Sequence[GroundTruth], proposals: Sequence[Proposals], positive_iou: float = 0.5
) -> RegionPool:
    """Assigns proposals and ground-truth boxes to objects: the best-overlapping one from `positive_iou` on.

    Regions on an ignored object are neither object nor background, so they are left out.
    """
    columns: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    num_objects = 0
    for index, (truth, proposed) in enumerate(zip(ground_truths, proposals, strict=True)):
        boxes = np.concatenate([truth.boxes[~truth.ignored], proposed.boxes])
        iou = box_iou(boxes, truth.boxes) if len(truth) else np.zeros((len(boxes), 1))
        best, overlaps = iou.argmax(axis=1), iou.max(axis=1)
        covered = overlaps >= positive_iou
        objects = np.where(covered, best + num_objects, -1)
        usable = ~(covered & truth.ignored[best]) if len(truth) else np.ones(len(boxes), bool)
        images = np.full(len(boxes), index)
        columns.append((images[usable], boxes[usable], objects[usable], overlaps[usable]))
        num_objects += len(truth)
    images, boxes, objects, overlaps = (np.concatenate(column) for column in zip(*columns, strict=True))
    classes = np.concatenate([truth.class_ids for truth in ground_truths])
    return RegionPool(images.astype(np.int32), boxes, objects.astype(np.int32), overlaps.astype(np.float32), classes)


class RegionSampler:
    """Batches of regions; the batch of a step depends on the seed and the step alone, so resuming is exact.

    Raises:
        DataError: the pool has no objects or no backgrounds to draw.
    """

    def __init__(self, pool: RegionPool, num_classes: int, config: SamplingConfig):
        self.pool, self.config, self.background = pool, config, num_classes
        positive = np.flatnonzero(pool.objects >= 0)
        order = positive[np.argsort(pool.objects[positive], kind="stable")]
        self._objects, starts = np.unique(pool.objects[order], return_index=True)
        self._regions_of_object = np.split(order, starts[1:])
        classes = pool.object_classes[self._objects]
        counts = np.bincount(classes, minlength=num_classes)
        weights = np.maximum(counts[classes], 1.0) ** (config.class_balance - 1)
        self._object_probability = weights / weights.sum()
        self._far = np.flatnonzero(pool.objects < 0)
        if len(positive) == 0 or len(self._far) == 0:
            raise DataError(
                f"cannot train on {len(positive)} regions with an object and {len(self._far)} without; both are "
                "needed, so check the annotations and the class names"
            )
        self._near = self._far[pool.overlaps[self._far] >= config.near_iou]

    @property
    def num_objects(self) -> int:
        """Objects that have at least one region."""
        return len(self._objects)

    def draw(self, step: int, batch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the pool [B] and whether each is mirrored [B], for one step."""
        generator = np.random.default_rng([seed, step])
        num_positive = round(batch_size * self.config.positive_share)
        num_near = round((batch_size - num_positive) * self.config.near_share) if len(self._near) else 0
        objects = generator.choice(len(self._objects), num_positive, p=self._object_probability)
        positive = [generator.choice(self._regions_of_object[chosen]) for chosen in objects]
        near = generator.choice(self._near, num_near) if num_near else np.zeros(0, np.int64)
        far = generator.choice(self._far, batch_size - num_positive - num_near)
        rows = np.concatenate([np.array(part, np.int64) for part in (positive, near, far)])
        return rows, generator.random(len(rows)) < self.config.flip_probability

    def batch(
        self,
        rows: np.ndarray,
        flipped: np.ndarray,
        load: Callable[[int], Image],
        preprocessing: Preprocessing,
        device: torch.device,
    ) -> RegionBatch:
        """Cuts the drawn regions on the device, image by image, in the order of `rows`."""
        size = preprocessing.size
        crops = torch.empty(len(rows), 3, size, size, device=device)
        images = self.pool.images[rows]
        for image in np.unique(images):
            chosen = np.flatnonzero(images == image)
            cropper = RegionCropper(load(int(image)), preprocessing, device)
            crops[torch.from_numpy(chosen).to(device)] = cropper.crop(self.pool.boxes[rows[chosen]], flipped[chosen])
        objects = self.pool.objects[rows]
        targets = np.where(objects >= 0, self.pool.object_classes[objects], self.background)
        return RegionBatch(crops, torch.from_numpy(targets).to(device), rows)
