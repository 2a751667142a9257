"""Draws the regions of every step: objects and backgrounds as in R-CNN, or with soft targets."""

import numpy as np

from incdet.errors import DataError
from incdet.training.samples.region_pool import RegionPool
from incdet.training.samples.region_sampling_config import RegionSamplingConfig


class RegionSampler:
    """Draws regions; the regions of a step depend on the seed and the step alone, so resuming is exact.

    Args:
        pool: the regions.
        num_classes: number of classes without background.
        config: the composition of a batch.

    Raises:
        DataError: the pool has no objects or no backgrounds to draw.
    """

    def __init__(self, pool: RegionPool, num_classes: int, config: RegionSamplingConfig):
        self.pool, self.config, self.num_classes = pool, config, num_classes
        positive = np.flatnonzero(pool.objects >= 0)
        self._background = np.flatnonzero(pool.objects < 0)
        if len(positive) == 0 or len(self._background) == 0:
            raise DataError(
                f"cannot train on {len(positive)} regions with an object and {len(self._background)} without; both are "
                "needed, so check the annotations and the class names"
            )
        self._near_background = self._background[pool.overlaps[self._background] >= config.near_iou]
        # the rows of every object: sorted by object, then cut where the next object begins
        by_object = positive[np.argsort(pool.objects[positive], kind="stable")]
        objects, starts = np.unique(pool.objects[by_object], return_index=True)
        self._rows_of_object = np.split(by_object, starts[1:])
        classes = pool.object_classes[objects]
        weights = balanced_class_weights(classes, num_classes, config.class_balance)[classes]
        self._object_probabilities = weights / weights.sum()

    @property
    def num_objects(self) -> int:
        """Number of objects that have at least one region."""
        return len(self._rows_of_object)

    def draw(self, step: int, batch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws the regions of one step.

        Args:
            step: number of the step, from 0.
            batch_size: B, the number of regions of all processes together.
            seed: seed of the training.

        Returns:
            Rows of the pool [B] int64, and [B] bool: Whether each region is mirrored.
        """
        # the order of these draws belongs to the results: another order draws other regions from the same seed
        generator = np.random.default_rng([seed, step])
        num_positive = round(batch_size * self.config.positive_share)
        num_near = 0
        if len(self._near_background):
            num_near = round((batch_size - num_positive) * self.config.near_share)
        # first an object, then one of its regions, so that large objects with many proposals do not prevail
        objects = generator.choice(len(self._rows_of_object), num_positive, p=self._object_probabilities)
        positive = [draw_region(self.pool, self._rows_of_object[chosen], self.config, generator) for chosen in objects]
        near = generator.choice(self._near_background, num_near) if num_near else np.zeros(0, np.int64)
        background = generator.choice(self._background, batch_size - num_positive - num_near)
        rows = np.concatenate([np.array(part, np.int64) for part in (positive, near, background)])
        return rows, generator.random(len(rows)) < self.config.flip_probability

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """Returns the targets [B, C + 1] of rows [B] of the pool; see `region_targets`."""
        return region_targets(self.pool, rows, self.num_classes, self.config)


def balanced_class_weights(object_classes: np.ndarray, num_classes: int, class_balance: float) -> np.ndarray:
    """Returns the weight [C] float64 with which an object of each class is drawn.

    Args:
        object_classes: [K] int64, class of every object.
        num_classes: number of classes, C.
        class_balance: exponent of the number of a class's objects; see `RegionSamplingConfig`.

    >>> balanced_class_weights(np.array([0, 0, 0, 0, 1]), 2, 0.5).tolist()
    [0.5, 1.0]
    """
    counts = np.bincount(object_classes, minlength=num_classes)
    # of n objects of a class, each gets n ** (balance - 1), so that the class as a whole gets n ** balance
    return np.maximum(counts, 1.0) ** (class_balance - 1)


def draw_region(
    pool: RegionPool, rows: np.ndarray, config: RegionSamplingConfig, generator: np.random.Generator
) -> int:
    """Draws one of an object's regions: any, or the one whose Jaccard index is nearest to one drawn evenly.

    Args:
        pool: the regions.
        rows: rows of the object's regions.
        config: the settings `draw_evenly_over_iou` and `positive_iou` of the sampling.
        generator: source of everything random.

    Returns:
        Row of the region.
    """
    if not config.draw_evenly_over_iou:
        return int(generator.choice(rows))
    wanted = generator.uniform(config.positive_iou, 1)
    return int(rows[np.abs(pool.overlaps[rows] - wanted).argmin()])


def region_targets(pool: RegionPool, rows: np.ndarray, num_classes: int, config: RegionSamplingConfig) -> np.ndarray:
    """Returns [B, C + 1] float32: the probability of every class and, last, of background.

    Args:
        pool: the regions.
        rows: [B] int64, rows of the pool.
        num_classes: number of classes without background, C.
        config: the settings `positive_iou` and `full_iou` of the sampling.
    """
    objects = pool.objects[rows]
    covered = np.flatnonzero(objects >= 0)
    object_share: np.ndarray | float = 1.0
    if config.full_iou is not None and config.full_iou > config.positive_iou:
        # rises from 0 at `positive_iou` to 1 at `full_iou`
        above = pool.overlaps[rows[covered]] - config.positive_iou
        object_share = (above / (config.full_iou - config.positive_iou)).clip(0, 1)
    targets = np.zeros((len(rows), num_classes + 1), np.float32)
    targets[covered, pool.object_classes[objects[covered]]] = object_share
    targets[:, -1] = 1 - targets.sum(axis=1)
    return targets
