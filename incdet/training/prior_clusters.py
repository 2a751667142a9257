"""The priors of MultiBox as Erhan et al. 2014 made them: clusters of the training boxes."""

import numpy as np
from scipy.cluster.vq import kmeans2

from incdet.data.dataset import Dataset
from incdet.errors import ConfigurationError


def unit_boxes(dataset: Dataset) -> np.ndarray:
    """[N, 4] float32, corners in shares of the photos, of all objects that count; without photos of unstated size."""
    boxes = [
        truth.boxes[~truth.ignored] / np.array([truth.width, truth.height] * 2, np.float32)
        for truth in dataset.ground_truths
        if truth.width and truth.height
    ]
    return np.concatenate([np.zeros((0, 4), np.float32), *boxes])


def cluster_priors(boxes_unit: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The centres of `count` clusters of boxes, by k-means on their corners, as the papers made their priors.

    Args:
        boxes_unit: [N, 4] float, corners in shares of the image.
        count: number of priors.
        seed: of the first centres (k-means++).

    Returns:
        [count, 4] float32, sorted by area, largest first.

    Raises:
        ConfigurationError: there are fewer different boxes than priors.
    """
    different = len(np.unique(boxes_unit, axis=0))
    if different < count:
        raise ConfigurationError(f"cannot make {count} priors of {different} different boxes; ask for fewer")
    boxes = boxes_unit.astype(np.float64)
    centres, _ = kmeans2(boxes, count, iter=50, minit="++", missing="raise", rng=np.random.default_rng(seed))
    areas = (centres[:, 2] - centres[:, 0]) * (centres[:, 3] - centres[:, 1])
    return centres[np.argsort(-areas, kind="stable")].astype(np.float32)
