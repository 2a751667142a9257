"""Batches made by worker processes; a batch depends on its keys alone, whichever worker makes it."""

import multiprocessing
import multiprocessing.context
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from incdet.data.dataset import Warn
from incdet.errors import DataError, ImageError
from incdet.runtime.counted_words import of_all
from incdet.runtime.distributed import Processes
from incdet.runtime.worker_processes import follow_parent, num_cores

MAX_ATTEMPTS = 10
"""Number of different photos in a row that may be unreadable before a training stops."""

MAX_BAD_SHARE = 0.5
"""Largest share of the photos that a training does without, where nothing else is said."""

PREFETCHED_BATCHES = 4
"""Number of batches that every worker makes in advance."""

Sample = TypeVar("Sample")
Batch = TypeVar("Batch")
Photo = TypeVar("Photo")
LoadedBatchType = TypeVar("LoadedBatchType", bound="LoadedBatch")


class LoadedBatch(Protocol):
    """The part that all batches share.

    Attributes:
        names: names of the samples, for messages.
        problems: one sentence for every photo that could not be read.
    """

    names: list[str]
    problems: list[str]


def choose_num_workers(wanted: int | None, device: torch.device, processes: Processes) -> int:
    """Returns the number of workers for this process.

    Args:
        wanted: the configured number; None chooses one worker, or, where a GPU computes, all cores but one.
        device: the device that trains.
        processes: the processes of this machine, which share its cores.
    """
    if wanted is not None:
        return wanted
    cores = num_cores() // processes.count_here
    return max(cores - 1, 1) if device.type == "cuda" else 1


def load_batches(
    dataset: "TorchDataset[Sample]",
    keys: object,
    collate: Callable[[Sequence[Sample]], Batch],
    num_workers: int,
) -> "Iterator[Batch]":
    """Yields the batch of every list of keys, in order.

    Args:
        dataset: key -> sample; it is copied into every worker.
        keys: iterable of lists of keys, one list per batch.
        collate: samples -> batch; it runs in the worker, too.
        num_workers: number of processes that make samples; 0 makes them in this process when they are asked for.
    """
    # torch's DataLoader and not runtime/worker_processes.py, because the loader collates whole batches in the workers,
    # hands tensors over in shared memory, pins them for the GPU in a thread of its own, prefetches some batches for
    # every worker, and gives each worker a seed
    loader: DataLoader[Sample] = DataLoader(
        dataset,
        batch_sampler=keys,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=num_workers,
        prefetch_factor=PREFETCHED_BATCHES if num_workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        multiprocessing_context=_worker_context() if num_workers else None,
    )
    return iter(loader)


def read_first_readable(
    read: Callable[[int], Photo], first: int, chosen: np.ndarray, groups: np.ndarray | None = None
) -> tuple[tuple[int, Photo] | None, list[str]]:
    """Reads a sample or, where its photo cannot be read, the next one whose photo can.

    Args:
        read: index -> sample.
        first: index of the wanted sample, one of `chosen`.
        chosen: [K] int64, indices of the samples that are learnt, ascending; after the last one comes the first one.
        groups: [N] int64, photo of every sample, where several samples come from one; None is a photo for each.

    Returns:
        The index of the sample and the sample, or None where `MAX_ATTEMPTS` different photos, or all, are unreadable;
        and one sentence for every unreadable photo.
    """
    problems: list[str] = []
    unreadable: set[int] = set()
    start = int(np.searchsorted(chosen, first))
    for distance in range(len(chosen)):
        index = int(chosen[(start + distance) % len(chosen)])
        photo = index if groups is None else int(groups[index])
        # the other objects of a damaged photo are as unreadable as the first one
        if photo in unreadable:
            continue
        try:
            return (index, read(index)), problems
        except ImageError as error:
            problems.append(str(error))
            unreadable.add(photo)
        if len(unreadable) == MAX_ATTEMPTS:
            break
    return None, problems


class BadPhotos:
    """The photos that could not be used: each is named once, and too many of them end the training.

    Args:
        num_photos: number of photos that are learnt.
        warn: takes a sentence about every photo, and one about their number.
        max_share: largest share of the photos that the training does without.
        are_replaced: whether other photos take their places, as in a training, whose setting `max_bad_share` is the
            largest share then; otherwise they are left out.
    """

    def __init__(
        self, num_photos: int, warn: Warn, max_share: float = MAX_BAD_SHARE, are_replaced: bool = True
    ) -> None:
        self.num_photos, self.warn, self.max_share, self.are_replaced = num_photos, warn, max_share, are_replaced
        self.problems: dict[str, None] = {}

    def add(self, problem: str) -> None:
        """Names a photo that cannot be used.

        Args:
            problem: the sentence about it, which is the same whenever it is met.

        Raises:
            DataError: more than `max_share` of the photos cannot be used.
        """
        # a photo is met again in every epoch
        if problem in self.problems:
            return
        self.problems[problem] = None
        self.warn(f"{problem}; {'another photo takes its place' if self.are_replaced else 'it is left out'}")
        if len(self.problems) > self.max_share * self.num_photos:
            setting = " (max_bad_share)" if self.are_replaced else ""
            raise DataError(
                f"{of_all(len(self.problems), self.num_photos, 'photo')} cannot be used, more than "
                f"{self.max_share:.0%}{setting}; the last: {problem}"
            )

    def tell_number(self) -> None:
        """Says how many photos could not be used, if any."""
        if self.problems:
            is_one = len(self.problems) == 1
            done = "another took its place" if is_one else "others took their places"
            if not self.are_replaced:
                done = "it was left out" if is_one else "they were left out"
            self.warn(f"{of_all(len(self.problems), self.num_photos, 'photo')} could not be used: {done}")


def warn_about_replaced_photos(
    batches: Iterable[LoadedBatchType],
    batch_size: int,
    num_photos: int,
    warn: Warn,
    max_bad_share: float = MAX_BAD_SHARE,
) -> Iterator[LoadedBatchType]:
    """Passes batches on and warns about every photo that could not be read and that another one has replaced.

    Args:
        batches: the batches.
        batch_size: number of samples of a whole batch.
        num_photos: number of photos that are learnt.
        warn: takes a sentence about every photo that cannot be read, and at the end one about their number.
        max_bad_share: largest share of the photos that the training does without.

    Raises:
        DataError: all photos that were tried for a sample cannot be read, so a batch is not full, or more than
            `max_bad_share` of all photos cannot be.
    """
    bad = BadPhotos(num_photos, warn, max_bad_share)
    for batch in batches:
        if len(batch.names) < batch_size:
            # several samples of a batch may have met the same photos
            tried = of_all(len(set(batch.problems)), num_photos, "photo")
            raise DataError(
                f"cannot fill a batch: {tried}, tried one after another, cannot be read; repair or remove them; the "
                f"last: {batch.problems[-1]}"
            )
        for problem in batch.problems:
            bad.add(problem)
        yield batch
    bad.tell_number()


def _worker_context() -> multiprocessing.context.BaseContext:
    """The way in which workers start.

    A fork of this process would wait forever for the threads that OpenCV has started here and that the fork lacks.
    Workers are therefore forks of a server without threads, where the system has such, and new processes elsewhere.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # the server imports these once, instead of every worker
    kinds = ("crop_batches", "box_batches", "region_batches", "photo_batches")
    context.set_forkserver_preload(["__main__", *(f"incdet.training.samples.{kind}" for kind in kinds)])
    return context


def _start_worker(_: int) -> None:
    # torch's own watch takes the server that forked a worker for its parent, so the worker would outlive the training
    follow_parent()
    # torch limits its own threads to one in a worker, but not OpenCV's
    cv2.setNumThreads(1)
