"""Samples made by worker processes, in an order that depends on the seed alone, whoever makes them."""

import multiprocessing
import multiprocessing.context
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from incdet.data.dataset import Warn
from incdet.errors import DataError
from incdet.runtime.distributed import Processes
from incdet.runtime.worker_processes import follow_parent, num_cores

ATTEMPTS = 10
"""Photos in a row that may be unreadable."""

PREFETCHED = 4
"""Batches that every worker makes in advance."""

Sample = TypeVar("Sample")
Joined = TypeVar("Joined")
LoadedBatchType = TypeVar("LoadedBatchType", bound="LoadedBatch")


@dataclass(frozen=True)
class Place:
    """A sample of a training: the how manyth it is, which seeds its distortions, and the photo's index."""

    number: int
    index: int


class Places:
    """The places of every step's batch: each epoch takes every photo once, in an order of its own.

    Args:
        order: random numbers -> [N] every index once.
        chosen: [K] indices of those that are used.
        seed: of the orders.
        steps: whose batches are wanted.
        batch_size: samples of this process.
        processes: which samples are this process's.
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
        self._order = lru_cache(maxsize=2)(self._new_order)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Place]]:
        together = self.batch_size * self.processes.count
        for step in self.steps:
            numbers = range(step * together, (step + 1) * together)[self.processes.rank :: self.processes.count]
            yield [self._place(number) for number in numbers]

    def _place(self, number: int) -> Place:
        epoch, position = divmod(number, len(self.chosen))
        return Place(number, int(self._order(epoch)[position]))

    def _new_order(self, epoch: int) -> np.ndarray:
        order = self.order(np.random.default_rng([self.seed, epoch]))
        return order[np.isin(order, self.chosen)]


class LoadedBatch(Protocol):
    """What batches have in common: the names of their samples, and why others are missing."""

    names: list[str]
    problems: list[str]


def choose_num_workers(asked: int | None, device: torch.device, processes: Processes) -> int:
    """What was asked for, else one worker, and where a GPU computes all of the process's cores but one."""
    if asked is not None:
        return asked
    cores = num_cores() // processes.count_here
    return max(cores - 1, 1) if device.type == "cuda" else 1


def without_gaps(batches: Iterator[LoadedBatchType], batch_size: int, warn: Warn) -> Iterator[LoadedBatchType]:
    """Passes batches on and tells of every photo that could not be read, whose place another one has taken.

    Raises:
        DataError: so many in a row are unreadable that a place stayed empty.
    """
    for batch in batches:
        for problem in batch.problems:
            warn(f"{problem}; the next photo takes its place")
        if len(batch.names) < batch_size:
            raise DataError(f"{ATTEMPTS} photos in a row cannot be read; the last: {batch.problems[-1]}")
        yield batch


def load(
    dataset: "TorchDataset[Sample]", batches: object, join: Callable[[Sequence[Sample]], Joined], num_workers: int
) -> "Iterator[Joined]":
    """What `join` makes of the samples of every batch, in order.

    Args:
        dataset: key -> sample; copied into the workers.
        batches: lists of keys.
        join: samples -> batch.
        num_workers: processes that make the samples; 0 makes them in between.
    """
    loader: DataLoader[Sample] = DataLoader(
        dataset,
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=join,
        num_workers=num_workers,
        prefetch_factor=PREFETCHED if num_workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        multiprocessing_context=_context() if num_workers else None,
    )
    return iter(loader)


def _context() -> multiprocessing.context.BaseContext:
    """Workers are forks of a server without threads where the system has such: a fork of this process would wait
    forever for the threads that OpenCV has started here and that the fork lacks.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # read once, by the server, and not by every worker
    context.set_forkserver_preload(
        ["__main__", "incdet.training.samples.training_crops", "incdet.training.samples.box_samples"]
    )
    return context


def _start_worker(_: int) -> None:
    """A worker is one thread; torch's own watch takes the server that made it for its parent."""
    follow_parent()
    cv2.setNumThreads(1)
