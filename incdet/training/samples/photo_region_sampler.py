"""The regions that a network for shared features learns from in one photo, and their targets."""

from dataclasses import dataclass

import numpy as np

from incdet.ops.boxes import compute_box_deltas, flip_boxes
from incdet.structures import GroundTruth, Proposals
from incdet.training.samples.region_pool import RegionPool, jittered_boxes, regions_of_photo
from incdet.training.samples.region_sampler import draw_region, region_targets
from incdet.training.samples.region_sampling_config import RegionSamplingConfig
from incdet.training.samples.shared_features_config import SharedFeaturesConfig

MIN_REGION_SIDE = 1.0
"""Smallest side of a region, in pixels of the photo; box deltas of a box without surface would be infinite."""


@dataclass(frozen=True, eq=False)
class DrawnRegions:
    """The regions of one photo that a step learns from.

    Attributes:
        boxes: [R, 4] float32, xyxy pixels of the photo, which is mirrored where the sample is.
        targets: [R, C + 1] float32, probabilities of the classes and, last, of background.
        box_deltas: [R, 4] float32, from the box to that of its object; see `compute_box_deltas`. 0 for background.
        teaches_box: [R] bool, whether the box deltas are learnt.
    """

    boxes: np.ndarray
    targets: np.ndarray
    box_deltas: np.ndarray
    teaches_box: np.ndarray


class PhotoRegionSampler:
    """Draws the regions of a photo.

    Args:
        class_weights: [C] float64, weight with which an object of each class is drawn.
        sampling: the composition of the regions.
        shared: number of the regions, and which of them teach box deltas.
    """

    def __init__(self, class_weights: np.ndarray, sampling: RegionSamplingConfig, shared: SharedFeaturesConfig):
        self.class_weights, self.sampling, self.shared = class_weights, sampling, shared

    def usable(
        self,
        truth: GroundTruth,
        proposals: Proposals,
        is_exhaustive: bool,
        generator: np.random.Generator | None = None,
    ) -> RegionPool:
        """Returns all regions of a photo that can be drawn.

        Args:
            truth: the annotation of the photo, in its pixels.
            proposals: its proposals.
            is_exhaustive: whether every object in it is annotated; otherwise it has no background.
            generator: source of jittered boxes; None makes none.
        """
        jittered = np.zeros((0, 4), np.float32)
        if generator is not None:
            # other copies at every visit of the photo
            jittered = jittered_boxes(truth, self.sampling.num_jittered_boxes, generator)
        pool = regions_of_photo(truth, proposals, jittered, self.sampling, is_exhaustive)
        has_surface = (pool.boxes[:, 2:] - pool.boxes[:, :2] >= MIN_REGION_SIDE).all(axis=1)
        return RegionPool(
            pool.images[has_surface],
            pool.boxes[has_surface],
            pool.objects[has_surface],
            pool.overlaps[has_surface],
            pool.object_classes,
        )

    def draw(
        self,
        truth: GroundTruth,
        proposals: Proposals,
        is_exhaustive: bool,
        is_flipped: bool,
        generator: np.random.Generator,
    ) -> DrawnRegions:
        """Draws regions of a photo that has at least one.

        Args:
            truth: the annotation of the photo, in its pixels.
            proposals: its proposals.
            is_exhaustive: whether every object in it is annotated; otherwise it has no background.
            is_flipped: whether the photo is mirrored.
            generator: source of everything random.
        """
        pool = self.usable(truth, proposals, is_exhaustive, generator)
        rows = self._draw_rows(pool, generator)
        boxes, objects = pool.boxes[rows], pool.objects[rows]
        covered = np.flatnonzero(objects >= 0)
        object_boxes = boxes.copy()
        object_boxes[covered] = truth.boxes[objects[covered]]
        if is_flipped:
            boxes, object_boxes = flip_boxes(boxes, truth.width), flip_boxes(object_boxes, truth.width)
        return DrawnRegions(
            boxes,
            region_targets(pool, rows, len(self.class_weights), self.sampling),
            compute_box_deltas(boxes, object_boxes),
            (objects >= 0) & (pool.overlaps[rows] >= self.shared.min_box_iou),
        )

    def _draw_rows(self, pool: RegionPool, generator: np.random.Generator) -> np.ndarray:
        """Rows [R] of the pool: regions with an object, backgrounds that touch one, then any backgrounds."""
        num_regions = self.shared.regions_per_photo
        rows_with_object = np.flatnonzero(pool.objects >= 0)
        background = generator.permutation(np.flatnonzero(pool.objects < 0))
        num_positive = round(num_regions * self.sampling.positive_share)
        if len(rows_with_object) == 0:
            num_positive = 0
        elif len(background) == 0:
            num_positive = num_regions
        positive = self._draw_positive(pool, rows_with_object, num_positive, generator)
        # each background once, those that touch an object first, as long as there are enough of them
        is_near = pool.overlaps[background] >= self.sampling.near_iou
        num_near = round((num_regions - num_positive) * self.sampling.near_share)
        near = background[is_near][:num_near]
        others = np.setdiff1d(background, near)
        drawn = np.concatenate([positive, near, generator.permutation(others)])[:num_regions]
        if len(drawn) < num_regions:
            # a photo with few backgrounds shows them again
            source = background if len(background) else rows_with_object
            drawn = np.concatenate([drawn, generator.choice(source, num_regions - len(drawn))])
        return drawn

    def _draw_positive(
        self, pool: RegionPool, rows: np.ndarray, number: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Rows [number] of regions with an object: first an object, by its class, then one of its regions."""
        objects = np.unique(pool.objects[rows])
        weights = self.class_weights[pool.object_classes[objects]]
        positive = []
        for chosen in generator.choice(objects, number, p=weights / weights.sum()) if number else ():
            own = rows[pool.objects[rows] == chosen]
            positive.append(draw_region(pool, own, self.sampling, generator))
        return np.array(positive, np.int64)
