"""Draws the size at which a photo is learnt, and prefers regions that the network sees at that size in detection."""

import math

import numpy as np

from incdet.networks.weights_record import Preprocessing
from incdet.ops.photo_scaling import ideal_photo_sides
from incdet.training.samples.shared_features_config import SharedFeaturesConfig

OBJECT_SHARE = 0.8
"""Share of the photos whose size suits one of their objects; the others have any size, so that backgrounds are learnt
at all of them."""

OBJECT_JITTER = 0.15
"""Standard deviation of the logarithm of a photo's size around that which suits the object."""

MIN_LOG_WEIGHT = -5.0
"""Logarithm of the smallest weight of a region, however little its size suits the photo's."""


class PhotoSideSampler:
    """Draws lengths of the shorter side of photos, as logarithms, and weighs regions by how well they suit.

    In detection a region is pooled at the photo side at which its own side comes nearest to `region_side`. A region
    whose ideal photo side lies outside the range takes the nearest end of it.

    Args:
        shared: range of the photo sides, strength of the preference, and whether feature maps are cached, which limits
            the sides to those of detection.
        preprocessing: the region size that the network knows, and the photo sides of detection.
    """

    def __init__(self, shared: SharedFeaturesConfig, preprocessing: Preprocessing) -> None:
        self.shared, self.preprocessing = shared, preprocessing
        self._limits = np.log(shared.photo_sides)

    def ideal_sides(self, boxes: np.ndarray, width: int, height: int) -> np.ndarray:
        """Computes the logarithm of the photo side that suits each region, [R] float64, within the range.

        Args:
            boxes: [R, 4], xyxy pixels of the original photo.
            width: width of the original photo, in pixels.
            height: height of the original photo, in pixels.
        """
        preprocessing = self.preprocessing
        sides = ideal_photo_sides(boxes, width, height, preprocessing.region_side, preprocessing.enlargement)
        return np.log(sides).clip(*self._limits)

    def draw(self, object_sides: np.ndarray, weights: np.ndarray, generator: np.random.Generator) -> float:
        """Draws the logarithm of a photo side.

        Args:
            object_sides: [K] float64, the ideal sides of the photo's objects.
            weights: [K] float64, weights with which the objects are chosen.
            generator: source of everything random.
        """
        side = float(generator.uniform(*self._limits))
        if self.shared.size_spread is not None and len(object_sides) and generator.random() < OBJECT_SHARE:
            chosen = generator.choice(len(object_sides), p=weights / weights.sum())
            side = float((object_sides[chosen] + generator.normal(0, OBJECT_JITTER)).clip(*self._limits))
        if not self.shared.cache_features:
            return side
        # feature maps are kept for the sides of detection only
        kept = np.log(self.preprocessing.photo_sides)
        return float(kept[np.abs(kept - side).argmin()])

    def log_weights(self, ideal_sides: np.ndarray, side: float) -> np.ndarray:
        """Computes the logarithm of the weight with which each region is drawn, [R] float64, at most 0.

        Args:
            ideal_sides: [R] float64, the ideal sides of the regions.
            side: logarithm of the photo side.
        """
        if self.shared.size_spread is None:
            return np.zeros(len(ideal_sides))
        return np.maximum(-(((ideal_sides - side) / self.shared.size_spread) ** 2) / 2, MIN_LOG_WEIGHT)


def photo_side_in_pixels(side: float) -> int:
    """Returns the photo side of a logarithm, in whole pixels."""
    return round(math.exp(side))
