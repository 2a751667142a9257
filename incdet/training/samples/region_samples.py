"""Training samples of the region classifier: positives and backgrounds as R-CNN's or softer, drawn reproducibly."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from incdet.config.sections import Section, Unit
from incdet.errors import DataError
from incdet.networks.weights import Preprocessing
from incdet.ops.boxes import box_areas, box_intersections, box_iou
from incdet.regions import RegionCropper
from incdet.structures import GroundTruth, Image, Proposals

JITTER_SHIFT, JITTER_STRETCH = 0.4, 1.6
"""How far a jittered box moves, in sides, and how much it is stretched at most."""


class SamplingConfig(Section):
    """What a batch is made of.

    Attributes:
        positive_share: share of regions with an object; R-CNN's 32 of 128.
        positive_iou: smallest Jaccard index with an object's box to be drawn as that object (R-CNN: 0.5).
        full_iou: Jaccard index from which a region is wholly its object. Between `positive_iou` and this the target
            passes evenly from background to the object, so that tight boxes learn to score higher than loose ones;
            None is `positive_iou`, R-CNN's hard decision.
        even_iou: an object's region is drawn evenly over the Jaccard index, instead of evenly over its regions, most of
            which are loose.
        jittered_boxes: so many copies of every object's box, moved and stretched at random, join the proposals.
        class_balance: a class is drawn with probability ~ (its number of boxes) ** class_balance: 1 draws objects
            evenly, 0 draws classes evenly.
        near_share: share of the backgrounds that touch an object with Jaccard index >= near_iou; the rest is any.
        near_iou: see near_share.
        flip_probability: of mirroring a region.
    """

    positive_share: Unit = 0.25
    positive_iou: float = Field(0.5, gt=0, le=1)
    full_iou: float | None = Field(None, gt=0, le=1)
    even_iou: bool = False
    jittered_boxes: int = Field(0, ge=0, le=1000)
    class_balance: Unit = 1.0
    near_share: Unit = 0.0
    near_iou: Unit = 0.1
    flip_probability: Unit = 0.5

    @model_validator(mode="after")
    def _ramp_rises(self) -> "SamplingConfig":
        if self.full_iou is not None and self.full_iou < self.positive_iou:
            raise ValueError(f"full_iou {self.full_iou} must be at least positive_iou {self.positive_iou}")
        return self


@dataclass(frozen=True, eq=False)
class RegionBatch:
    """What a step learns from.

    Attributes:
        crops: [B, 3, size, size] float32, preprocessed.
        targets: [B, C + 1] float32, probabilities of the classes and, last, of background.
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
        objects: [N] int32, the object it covers, if only in part, counted over all images; -1 is background.
        overlaps: [N] float32, the largest Jaccard index with any object.
        object_classes: [K] int64, class of every object.
    """

    images: np.ndarray
    boxes: np.ndarray
    objects: np.ndarray
    overlaps: np.ndarray
    object_classes: np.ndarray


def build_pool(
    photos: Iterable[tuple[GroundTruth, Proposals]],
    config: SamplingConfig | None = None,
    exhaustive: int | None = None,
) -> RegionPool:
    """Assigns proposals and ground-truth boxes to objects: the best-overlapping one from `positive_iou` on.

    Regions on an ignored object are neither object nor background, so they are left out; so are those that lie with
    half of their area or more in one and on no other object: COCO's crowds hold objects that have no box.

    Args:
        photos: what each shows, in its pixels, and its proposals; taken one by one.
        config: `positive_iou` and `jittered_boxes` of it, which are always the same boxes.
        exhaustive: in so many photos, the first ones, everything is annotated; the others have no background. None is
            all of them.
    """
    config = config or SamplingConfig()
    columns: list[tuple[np.ndarray, ...]] = []
    classes: list[np.ndarray] = []
    num_objects = 0
    for index, (truth, proposed) in enumerate(photos):
        own = truth.boxes[~truth.ignored]
        boxes = np.concatenate([own, jittered_boxes(own, config.jittered_boxes, truth, index), proposed.boxes])
        iou = box_iou(boxes, truth.boxes) if len(truth) else np.zeros((len(boxes), 1))
        best, overlaps = iou.argmax(axis=1), iou.max(axis=1)
        covered = overlaps >= config.positive_iou
        objects = np.where(covered, best + num_objects, -1)
        usable = np.where(covered, ~truth.ignored[best], ~_in_ignored(boxes, truth)) if len(truth) else ~covered
        usable &= covered | (exhaustive is None or index < exhaustive)
        images = np.full(usable.sum(), index, np.int32)
        columns.append((images, boxes[usable], objects[usable].astype(np.int32), overlaps[usable].astype(np.float32)))
        classes.append(truth.class_ids)
        num_objects += len(truth)
    images, boxes, objects, overlaps = map(np.concatenate, zip(*columns, strict=True))
    return RegionPool(images, boxes, objects, overlaps, np.concatenate(classes))


def _in_ignored(boxes: np.ndarray, truth: GroundTruth) -> np.ndarray:
    """[N] bool: whether half of a box's area or more lies in one of the photo's ignored objects."""
    shared = box_intersections(boxes, truth.boxes[truth.ignored]).max(axis=1, initial=0)
    return (shared > 0) & (shared >= box_areas(boxes) / 2)


def jittered_boxes(boxes: np.ndarray, copies: int, truth: GroundTruth, seed: int) -> np.ndarray:
    """[N * copies, 4] float32: boxes moved by up to 40 % of their sides, stretched by up to 1.6, cut at the border.

    The copies of a box follow one another; each is moved by an amount of its own, so that there are tight ones, too.
    """
    generator = np.random.default_rng([seed, copies])
    center, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    center, sides = np.repeat(center, copies, axis=0), np.repeat(sides, copies, axis=0)
    amount = generator.uniform(0, 1, (len(sides), 1))
    center = center + sides * amount * generator.uniform(-JITTER_SHIFT, JITTER_SHIFT, sides.shape)
    half = sides / 2 * JITTER_STRETCH ** (amount * generator.uniform(-1, 1, sides.shape))
    limits = np.array([truth.width, truth.height] * 2)
    return np.concatenate([center - half, center + half], axis=1).clip(0, limits).astype(np.float32)


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
        positive = [self._region_of(self._regions_of_object[chosen], generator) for chosen in objects]
        near = generator.choice(self._near, num_near) if num_near else np.zeros(0, np.int64)
        far = generator.choice(self._far, batch_size - num_positive - num_near)
        rows = np.concatenate([np.array(part, np.int64) for part in (positive, near, far)])
        return rows, generator.random(len(rows)) < self.config.flip_probability

    def _region_of(self, regions: np.ndarray, generator: np.random.Generator) -> int:
        """One of an object's regions: any, or that whose Jaccard index is nearest to one drawn evenly."""
        if not self.config.even_iou:
            return int(generator.choice(regions))
        wanted = generator.uniform(self.config.positive_iou, 1)
        return int(regions[np.abs(self.pool.overlaps[regions] - wanted).argmin()])

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """[B, C + 1] float32: how much each region is its object, and the rest background."""
        config, objects = self.config, self.pool.objects[rows]
        covered = np.flatnonzero(objects >= 0)
        share: np.ndarray | float = 1.0
        if config.full_iou is not None and config.full_iou > config.positive_iou:
            inside = self.pool.overlaps[rows[covered]] - config.positive_iou
            share = (inside / (config.full_iou - config.positive_iou)).clip(0, 1)
        targets = np.zeros((len(rows), self.background + 1), np.float32)
        targets[covered, self.pool.object_classes[objects[covered]]] = share
        targets[:, self.background] = 1 - targets.sum(axis=1)
        return targets

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
        return RegionBatch(crops, torch.from_numpy(self.targets(rows)).to(device), rows)
