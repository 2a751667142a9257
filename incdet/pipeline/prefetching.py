"""Photos and their proposals, found by other processes while this one classifies the photos before."""

import multiprocessing
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.errors import ImageError
from incdet.images import ImageSource, read_image
from incdet.proposals import Proposers, begin_worker
from incdet.proposers.photo_crops import PhotoCropper
from incdet.runtime.worker_processes import MAX_WORKERS, interrupts_blocked, num_cores
from incdet.structures import Image, Proposals

WORTH_STARTING = 8
"""Photos for each process from which on starting them takes less time than it saves."""

MAX_FAILED_STARTS = 3
"""After so many starts that were not worth it, there are no more."""


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo and what was proposed in it.

    Attributes:
        image: the photo.
        found: name of each proposer that has run -> its proposals.
        photo_crops: what MultiBox, which has not run, looks at; see `PhotoCropper`.
        seconds: that reading ("read") and proposing ("proposals") took.
    """

    image: Image
    found: dict[str, Proposals]
    seconds: dict[str, float]
    photo_crops: np.ndarray | None = None


Read = LoadedPhoto | ImageError


def read_and_propose(
    source: ImageSource,
    images: ImagesConfig,
    proposers: Proposers,
    num_threads: int | None = None,
    photo_cropper: PhotoCropper | None = None,
) -> LoadedPhoto:
    """The photo with the proposals of all proposers, photo_crops for MultiBox where it does not run here.

    Raises:
        ImageError: it cannot be read.
    """
    started = time.perf_counter()
    image = read_image(source, images)
    read = time.perf_counter()
    found = proposers.find(image, num_threads)
    photo_crops = None if photo_cropper is None else photo_cropper(image)
    return LoadedPhoto(image, found, {"read": read - started, "proposals": time.perf_counter() - read}, photo_crops)


class Prefetcher:
    """Reads photos and runs proposers on them, in processes of their own, a few photos ahead of who asks for them.

    Each process works with one thread on one photo, and twice as many photos as processes are held at most. Should a
    process die, for example for lack of memory, the photos that the processes had are done here, and others are started
    for the rest; where they die again and again, all of it is done here.

    Args:
        images: what can be read.
        proposers: those that run, here and in the processes; these compute on the CPU.
        num_workers: processes; 0 does the work here, when a photo is asked for.
        photo_cropper: what they do for MultiBox where it is none of these proposers.
    """

    def __init__(
        self, images: ImagesConfig, proposers: Proposers, num_workers: int, photo_cropper: PhotoCropper | None = None
    ) -> None:
        self.images, self.proposers, self.num_workers, self.photo_cropper = (
            images,
            proposers,
            num_workers,
            photo_cropper,
        )

    def __call__(self, sources: Iterable[ImageSource]) -> Iterator[tuple[ImageSource, Read]]:
        """Every source in order, with its proposals or what is wrong with it."""
        remaining, wasted = iter(sources), 0
        while self.num_workers and wasted < MAX_FAILED_STARTS:
            answered, lost = yield from self._in_processes(remaining)
            if not lost:
                return
            # one of these is what a process died of
            for source in lost[: self.num_workers]:
                yield source, self._here(source)
            remaining = chain(lost[self.num_workers :], remaining)
            wasted += answered < WORTH_STARTING * self.num_workers
        for source in remaining:
            yield source, self._here(source)

    def _here(self, source: ImageSource) -> Read:
        try:
            return read_and_propose(source, self.images, self.proposers)
        except ImageError as error:
            return error

    def _in_processes(
        self, sources: Iterator[ImageSource]
    ) -> Generator[tuple[ImageSource, Read], None, tuple[int, list[ImageSource]]]:
        """Returns how many photos it answered, and those under way when a process died; none at the end."""
        # spawned, not forked: a fork of a process in which libraries have started threads waits for them forever
        context = multiprocessing.get_context("spawn")
        settings = (self.images, self.proposers.config, self.photo_cropper)
        pool = ProcessPoolExecutor(self.num_workers, context, initializer=_begin, initargs=settings)
        under_way: deque[tuple[ImageSource, Future[Read] | None]] = deque()
        answered = 0
        try:
            while True:
                for source in islice(sources, 2 * self.num_workers - len(under_way)):
                    under_way.append((source, _submit(pool, source)))
                if not under_way:
                    return answered, []
                source, future = under_way[0]
                try:
                    read = future.result() if future is not None else None
                except BrokenProcessPool:
                    read = None
                except Exception:  # such as a source that cannot be sent
                    read = self._here(source)
                if read is None:
                    return answered, [source for source, _ in under_way]
                under_way.popleft()
                answered += 1
                yield source, read
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, source: ImageSource) -> "Future[Read] | None":
    """The photo's work in a process; None where none can be started any more."""
    try:
        with interrupts_blocked():
            return pool.submit(_work, source)
    except (BrokenProcessPool, OSError):
        return None


def default_workers(num_photos: int, on_gpu: bool) -> int:
    """How many processes should read ahead: beside a GPU one for each core but one, so that it need not wait.

    Networks on a CPU keep all its cores busy, so there are none then, and none for a single photo.
    """
    return min(num_photos, num_cores() - 1, MAX_WORKERS) if on_gpu and num_photos > 1 else 0


_settings: tuple[ImagesConfig, Proposers, PhotoCropper | None]
"""Of a worker process."""


def _begin(images: ImagesConfig, proposals: ProposalsConfig, photo_cropper: PhotoCropper | None) -> None:
    """Prepares a process: one thread, networks loaded once."""
    global _settings
    begin_worker(proposals)
    _settings = images, Proposers(proposals, "cpu"), photo_cropper


def _work(source: ImageSource) -> Read:
    images, proposers, photo_cropper = _settings
    try:
        return read_and_propose(source, images, proposers, num_threads=1, photo_cropper=photo_cropper)
    except ImageError as error:
        return error
