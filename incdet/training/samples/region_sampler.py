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
        # of n objects of a class, each gets n ** (balance - 1), so that the class as a whole gets n ** balance
        classes = pool.object_classes[objects]
        counts = np.bincount(classes, minlength=num_classes)
        weights = np.maximum(counts[classes], 1.0) ** (config.class_balance - 1)
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
        positive = [self._draw_region(self._rows_of_object[chosen], generator) for chosen in objects]
        near = generator.choice(self._near_background, num_near) if num_near else np.zeros(0, np.int64)
        background = generator.choice(self._background, batch_size - num_positive - num_near)
        rows = np.concatenate([np.array(part, np.int64) for part in (positive, near, background)])
        return rows, generator.random(len(rows)) < self.config.flip_probability

    def _draw_region(self, rows: np.ndarray, generator: np.random.Generator) -> int:
        """One of an object's regions: any, or the one whose Jaccard index is nearest to one drawn evenly."""
        if not self.config.draw_evenly_over_iou:
            return int(generator.choice(rows))
        wanted = generator.uniform(self.config.positive_iou, 1)
        return int(rows[np.abs(self.pool.overlaps[rows] - wanted).argmin()])

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """Returns [B, C + 1] float32: the probability of every class and, last, of background.

        Args:
            rows: [B] int64, rows of the pool.
        """
        config, objects = self.config, self.pool.objects[rows]
        covered = np.flatnonzero(objects >= 0)
        object_share: np.ndarray | float = 1.0
        if config.full_iou is not None and config.full_iou > config.positive_iou:
            # rises from 0 at `positive_iou` to 1 at `full_iou`
            above = self.pool.overlaps[rows[covered]] - config.positive_iou
            object_share = (above / (config.full_iou - config.positive_iou)).clip(0, 1)
        targets = np.zeros((len(rows), self.num_classes + 1), np.float32)
        targets[covered, self.pool.object_classes[objects[covered]]] = object_share
        targets[:, -1] = 1 - targets.sum(axis=1)
        return targets
