"""Small images of random patches, and their regions, for tests of features and grouping."""

import numpy as np

from incdet.proposers.region_features import Regions, measure_regions, texture_codes


def regions_of(labels: np.ndarray, channels: np.ndarray) -> Regions:
    return measure_regions(labels, channels, texture_codes(channels))


def patches(seed: int, height: int = 18, width: int = 24, blocks: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Labels of random connected patches, and channels of noise around a level of each patch."""
    random = np.random.default_rng(seed)
    centres = random.uniform(0, (height, width), (blocks * 3, 2))
    y, x = np.mgrid[:height, :width]
    nearest = ((y[..., None] - centres[:, 0]) ** 2 + (x[..., None] - centres[:, 1]) ** 2).argmin(axis=-1)
    _, labels = np.unique(nearest, return_inverse=True)
    labels = labels.reshape(height, width).astype(np.int32)
    levels = random.integers(0, 200, (3, labels.max() + 1))
    channels = (levels[:, labels] + random.integers(0, 56, (3, height, width))).astype(np.uint8)
    return labels, channels
