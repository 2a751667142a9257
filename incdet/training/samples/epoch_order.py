"""The order of a training's photos, epoch after epoch, which the seed alone decides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from incdet.runtime.distributed import Processes


@dataclass(frozen=True)
class SampleKey:
    """The key by which a worker process makes a sample.

    Attributes:
        number: position of the sample in the whole training, counted over all steps and processes; it seeds the
            sample's distortions.
        photo: index of the photo.
    """

    number: int
    photo: int


class EpochBatchSampler:
    """The keys of every step's batch, in the form of torch's batch samplers.

    The samples of all steps and processes form one long row that is cut into epochs, so neither the number of processes
    nor an interruption changes which photo a sample shows.

    Args:
        order: random numbers -> [N] int64, indices of photos; every one once, or as often as its weight asks.
        chosen: [K] int64, indices of the photos that are used.
        seed: seed of the orders.
        steps: the steps of the training that are still to come.
        batch_size: number of samples that this process takes at a step.
        processes: this process among those that train together.
    """

    def __init__(
        self,
        order: Callable[[np.random.Generator], np.ndarray],
        chosen: np.ndarray,
        seed: int,
        steps: range,
        batch_size: int,
        processes: Processes,
    ) -> None:
        self.order, self.chosen, self.seed, self.steps = order, chosen, seed, steps
        self.batch_size, self.processes = batch_size, processes
        # a batch may reach into the next epoch, so two orders are kept
        self._order = lru_cache(maxsize=2)(self._new_order)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        samples_per_step = self.batch_size * self.processes.count
        for step in self.steps:
            numbers = range(step * samples_per_step, (step + 1) * samples_per_step)
            # the processes take turns: process r of n takes samples r, r + n, r + 2n, ...
            yield [self._key(number) for number in numbers[self.processes.rank :: self.processes.count]]

    def _key(self, number: int) -> SampleKey:
        epoch, position = divmod(number, len(self.chosen))
        return SampleKey(number, int(self._order(epoch)[position]))

    def _new_order(self, epoch: int) -> np.ndarray:
        # the source orders all its photos, so that shards stay together; the unused ones are dropped afterwards
        order = self.order(np.random.default_rng([self.seed, epoch]))
        return order[np.isin(order, self.chosen)]
