"""The priors of MultiBox as Erhan et al. 2014 made them: clusters of the training boxes. Alone, they are the simplest
proposer there is: the same boxes in every photo.
"""

from collections.abc import Iterable

import numpy as np

from incdet.errors import ConfigurationError
from incdet.runtime.optional_packages import require_package
from incdet.structures import GroundTruth, Image, Proposals


def unit_boxes(ground_truths: Iterable[GroundTruth]) -> np.ndarray:
    """The boxes of all objects that count, normalised to [0, 1]; photos whose size is not stated are left out.

    Args:
        ground_truths: Annotations of the photos.

    Returns:
        [N, 4] float32, corners x1 y1 x2 y2 divided by the photo's width and height.
    """
    boxes = [
        truth.boxes[~truth.ignored] / np.array([truth.width, truth.height] * 2, np.float32)
        for truth in ground_truths
        if truth.width and truth.height
    ]
    return np.concatenate([np.zeros((0, 4), np.float32), *boxes])


def cluster_priors(boxes_unit: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The centres of clusters of boxes, by k-means on their corners, as the papers made their priors.

    Args:
        boxes_unit: [N, 4] float, corners normalised to [0, 1].
        count: Number of priors.
        seed: Seed of the first centres (k-means++).

    Returns:
        [count, 4] float32, sorted by area, largest first.

    Raises:
        ConfigurationError: There are fewer different boxes than priors.
        PackageError: SciPy is not installed.
    """
    require_package("scipy", "clusters of boxes", "train")
    from scipy.cluster.vq import kmeans2

    different = len(np.unique(boxes_unit, axis=0))
    if different < count:
        raise ConfigurationError(f"cannot make {count} priors of {different} different boxes; ask for fewer")
    boxes = boxes_unit.astype(np.float64)
    centres, _ = kmeans2(boxes, count, iter=50, minit="++", missing="raise", rng=np.random.default_rng(seed))
    areas = (centres[:, 2] - centres[:, 0]) * (centres[:, 3] - centres[:, 1])
    return centres[np.argsort(-areas, kind="stable")].astype(np.float32)


class PriorsProposer:
    """Proposes the same normalised boxes in every photo: the clusters of a data set's objects, the commonest first.

    Args:
        boxes_unit: [N, 4] float32, the objects, normalised to [0, 1].
        count: Number of clusters.

    Raises:
        ConfigurationError: There are fewer different boxes than clusters.
        PackageError: SciPy is not installed.
    """

    def __init__(self, boxes_unit: np.ndarray, count: int = 200):
        priors = cluster_priors(boxes_unit, count)
        from scipy.cluster.vq import vq

        # the score of a prior is the share of the objects that lie nearest to it
        nearest = vq(boxes_unit, priors)[0]
        shares = np.bincount(nearest, minlength=len(priors)) / len(boxes_unit)
        order = np.argsort(-shares, kind="stable")
        self._priors = priors[order]
        self._shares = shares[order].astype(np.float32)

    def __call__(self, image: Image) -> Proposals:
        """The priors, stretched to the photo."""
        size = np.array([image.width, image.height] * 2, np.float32)
        return Proposals(self._priors * size, self._shares, np.full(len(self._priors), "priors"))
