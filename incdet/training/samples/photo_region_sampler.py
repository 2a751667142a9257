"""The regions that a network for shared features learns from in one photo, and their targets."""

from dataclasses import dataclass

import numpy as np

from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import compute_box_deltas, flip_boxes
from incdet.structures import GroundTruth, Proposals
from incdet.training.samples.photo_side_sampler import PhotoSideSampler, photo_side_in_pixels
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
        photo_side: length to which the shorter side of the photo is resized, in pixels.
        boxes: [R, 4] float32, xyxy pixels of the photo, which is mirrored where the sample is.
        targets: [R, C + 1] float32, probabilities of the classes and, last, of background.
        box_deltas: [R, 4] float32, from the box to that of its object; see `compute_box_deltas`. 0 for background.
        teaches_box: [R] bool, whether the box deltas are learnt.
    """

    photo_side: int
    boxes: np.ndarray
    targets: np.ndarray
    box_deltas: np.ndarray
    teaches_box: np.ndarray


class PhotoRegionSampler:
    """Draws the regions of a photo.

    Args:
        class_weights: [C] float64, weight with which an object of each class is drawn.
        sampling: the composition of the regions.
        shared: size of the photo, number of the regions, and which of them teach box deltas.
        preprocessing: the region size that the network knows, and the photo sides of detection.
    """

    def __init__(
        self,
        class_weights: np.ndarray,
        sampling: RegionSamplingConfig,
        shared: SharedFeaturesConfig,
        preprocessing: Preprocessing,
    ) -> None:
        self.class_weights, self.sampling, self.shared = class_weights, sampling, shared
        self.sides = PhotoSideSampler(shared, preprocessing)

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
        # objects with at least one region, and the photo side that suits each
        drawable = np.unique(pool.objects[pool.objects >= 0])
        weights = self.class_weights[pool.object_classes[drawable]]
        object_sides = self.sides.ideal_sides(truth.boxes[drawable], truth.width, truth.height)
        side = self.sides.draw(object_sides, weights, generator)
        weights = weights * np.exp(self.sides.log_weights(object_sides, side))
        positive = self._draw_positive(pool, drawable, weights, generator)
        region_sides = self.sides.ideal_sides(pool.boxes, truth.width, truth.height)
        rows = self._add_background(pool, positive, self.sides.log_weights(region_sides, side), generator)
        boxes, objects = pool.boxes[rows], pool.objects[rows]
        covered = np.flatnonzero(objects >= 0)
        object_boxes = boxes.copy()
        object_boxes[covered] = truth.boxes[objects[covered]]
        if is_flipped:
            boxes, object_boxes = flip_boxes(boxes, truth.width), flip_boxes(object_boxes, truth.width)
        return DrawnRegions(
            photo_side_in_pixels(side),
            boxes,
            region_targets(pool, rows, len(self.class_weights), self.sampling),
            compute_box_deltas(boxes, object_boxes),
            (objects >= 0) & (pool.overlaps[rows] >= self.shared.min_box_iou),
        )

    def _draw_positive(
        self, pool: RegionPool, objects: np.ndarray, weights: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draws rows of the pool with an object: first an object, by its weight, then one of its regions."""
        number = round(self.shared.regions_per_photo * self.sampling.positive_share)
        if len(objects) == 0:
            number = 0
        elif (pool.objects >= 0).all():
            # a photo without background shows objects alone
            number = self.shared.regions_per_photo
        positive = []
        for chosen in generator.choice(objects, number, p=weights / weights.sum()) if number else ():
            own = np.flatnonzero(pool.objects == chosen)
            positive.append(draw_region(pool, own, self.sampling, generator))
        return np.array(positive, np.int64)

    def _add_background(
        self, pool: RegionPool, positive: np.ndarray, log_weights: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Adds rows of backgrounds that touch an object, then of any backgrounds, up to the wanted number.

        Args:
            pool: the regions of the photo.
            positive: rows that have been drawn already.
            log_weights: [N] float64, logarithms of the weights with which the regions are drawn.
            generator: source of everything random.
        """
        num_regions = self.shared.regions_per_photo
        # with Gumbel noise, the order of the sums is a weighted random order without repetition
        keys = log_weights + generator.gumbel(size=len(log_weights))
        background = np.flatnonzero(pool.objects < 0)
        background = background[np.argsort(-keys[background], kind="stable")]
        is_near = pool.overlaps[background] >= self.sampling.near_iou
        num_near = round((num_regions - len(positive)) * self.sampling.near_share)
        near = background[is_near][:num_near]
        others = background[~np.isin(background, near)]
        drawn = np.concatenate([positive, near, others])[:num_regions]
        if len(drawn) < num_regions:
            # a photo with few backgrounds shows them again
            source = background if len(background) else positive
            drawn = np.concatenate([drawn, generator.choice(source, num_regions - len(drawn))])
        return drawn
