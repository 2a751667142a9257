"""The regions that a region classifier can learn from: proposals and boxes of objects, each with its object."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from incdet.ops.boxes import box_areas, box_intersections, box_iou
from incdet.structures import GroundTruth, Proposals
from incdet.training.samples.region_sampling_config import RegionSamplingConfig

MAX_JITTER_SHIFT = 0.4
"""Largest distance that a jittered box moves, as a share of its sides."""

MAX_JITTER_STRETCH = 1.6
"""Largest factor by which a jittered box is stretched or shrunk."""


@dataclass(frozen=True, eq=False)
class RegionPool:
    """Every region that can be drawn, one row each.

    Attributes:
        images: [N] int32, index of the photo.
        boxes: [N, 4] float32, xyxy pixels of the photo.
        objects: [N] int32, the object that the region covers at least in part, counted over all photos; -1 is
            background.
        overlaps: [N] float32, largest Jaccard index with any object of the photo.
        object_classes: [K] int64, class of every object.
    """

    images: np.ndarray
    boxes: np.ndarray
    objects: np.ndarray
    overlaps: np.ndarray
    object_classes: np.ndarray


def build_pool(
    photos: Iterable[tuple[GroundTruth, Proposals]],
    config: RegionSamplingConfig | None = None,
    num_exhaustive: int | None = None,
) -> RegionPool:
    """Assigns proposals, boxes of objects and jittered boxes to the objects that they overlap most.

    A region from a Jaccard index of `positive_iou` on belongs to its object, any other is background. Regions on an
    ignored object are neither, so they are left out; so are those that lie with half of their area or more in an
    ignored object and on no other object, because COCO's crowds hold objects that have no box.

    Args:
        photos: the annotation of every photo, in its pixels, and its proposals; taken one by one.
        config: the settings `positive_iou` and `num_jittered_boxes` of the sampling; None is the default.
        num_exhaustive: number of photos, the first ones, in which every object is annotated; the others have no
            background. None is all of them.
    """
    config = config or RegionSamplingConfig()
    pools: list[RegionPool] = []
    num_objects = 0
    for index, (truth, proposals) in enumerate(photos):
        # where an object has no possible box, anything may show it
        is_exhaustive = (num_exhaustive is None or index < num_exhaustive) and truth.num_impossible == 0
        generator = np.random.default_rng([index, config.num_jittered_boxes])
        jittered = jittered_boxes(truth, config.num_jittered_boxes, generator)
        pools.append(regions_of_photo(truth, proposals, jittered, config, is_exhaustive, index, num_objects))
        num_objects += len(truth)
    return RegionPool(
        np.concatenate([pool.images for pool in pools]),
        np.concatenate([pool.boxes for pool in pools]),
        np.concatenate([pool.objects for pool in pools]),
        np.concatenate([pool.overlaps for pool in pools]),
        np.concatenate([pool.object_classes for pool in pools]),
    )


def regions_of_photo(
    truth: GroundTruth,
    proposals: Proposals,
    jittered: np.ndarray,
    config: RegionSamplingConfig,
    is_exhaustive: bool,
    index: int = 0,
    first_object: int = 0,
) -> RegionPool:
    """Returns the rows of one photo; see `build_pool`.

    Args:
        truth: the annotation of the photo, in its pixels.
        proposals: its proposals.
        jittered: [N, 4] float32, jittered copies of its objects' boxes.
        config: the setting `positive_iou` of the sampling.
        is_exhaustive: whether every object in it is annotated; otherwise it has no background.
        index: index of the photo.
        first_object: number of the photo's first object.
    """
    boxes = np.concatenate([truth.boxes[~truth.ignored], jittered, proposals.boxes])
    # [regions, objects]; a photo without objects gets one column of zeros, so that the maxima exist
    iou = box_iou(boxes, truth.boxes) if len(truth) else np.zeros((len(boxes), 1))
    best, overlaps = iou.argmax(axis=1), iou.max(axis=1)
    covered = overlaps >= config.positive_iou
    # a region on an object is usable unless the object is ignored; any other unless it may show objects without a box
    usable = ~covered
    if len(truth):
        usable = np.where(covered, ~truth.ignored[best], ~_in_ignored(boxes, truth))
    if not is_exhaustive:
        usable &= covered
    objects = np.where(covered, best + first_object, -1)
    return RegionPool(
        np.full(usable.sum(), index, np.int32),
        boxes[usable],
        objects[usable].astype(np.int32),
        overlaps[usable].astype(np.float32),
        truth.class_ids,
    )


def _in_ignored(boxes: np.ndarray, truth: GroundTruth) -> np.ndarray:
    """[N] bool: Whether half of a box's area or more lies in one of the photo's ignored objects."""
    shared = box_intersections(boxes, truth.boxes[truth.ignored]).max(axis=1, initial=0)
    return (shared > 0) & (shared >= box_areas(boxes) / 2)


def jittered_boxes(truth: GroundTruth, num_copies: int, generator: np.random.Generator) -> np.ndarray:
    """Returns boxes [N * num_copies, 4] float32: those of N objects, moved, stretched and cut at the photo's borders.

    The copies of a box follow one another. Each is moved and stretched by an amount of its own, between nothing and
    the largest shift and stretch, so that there are tight copies, too. Ignored objects have no copies.

    Args:
        truth: the annotation of the photo.
        num_copies: number of copies of every box.
        generator: source of everything random.
    """
    boxes = truth.boxes[~truth.ignored]
    center, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    center, sides = np.repeat(center, num_copies, axis=0), np.repeat(sides, num_copies, axis=0)
    amount = generator.uniform(0, 1, (len(sides), 1))
    center = center + sides * amount * generator.uniform(-MAX_JITTER_SHIFT, MAX_JITTER_SHIFT, sides.shape)
    # an even exponent makes stretching and shrinking equally likely
    half = sides / 2 * MAX_JITTER_STRETCH ** (amount * generator.uniform(-1, 1, sides.shape))
    limits = np.array([truth.width, truth.height] * 2)
    return np.concatenate([center - half, center + half], axis=1).clip(0, limits).astype(np.float32)
