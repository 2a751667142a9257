"""The one thread that owns the networks: it takes the photos of all requests in turn, and batches across them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

import numpy as np

from incdet.pipeline.batching import MAX_PHOTOS_UNDER_WAY
from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import ScoredRegions
from incdet.structures import Image
from incdet.web.request_errors import RequestError, stopping_error

ScorePhotos = Callable[[Iterator[tuple[Image, np.ndarray]]], Iterator[ScoredRegions]]
"""Classifies the regions of photos and yields the result of each, in order."""


class PhotoRegionsRequest(NamedTuple):
    """Regions that a job wants to have classified.

    Attributes:
        image: The photo.
        boxes: [R, 4] float32, xyxy pixels.
    """

    image: Image
    boxes: np.ndarray


class PhotoWork(Protocol):
    """What a request wants to be done with its photo, in the worker's thread."""

    @property
    def watch(self) -> Stopwatch:
        """Seconds of each stage."""

    def prepare(self) -> PhotoRegionsRequest | None:
        """Does all that comes before the networks that classify regions; None where there is nothing to classify."""

    def finish(self, scored: ScoredRegions | None) -> Any:
        """Makes the result.

        Args:
            scored: The classified regions; None where `prepare` returned None.
        """


class PhotoJob:
    """A photo on its way through the worker.

    Args:
        work: The work on it.
        deadline: Time by `time.monotonic` after which nobody waits for the result any more.

    Attributes:
        work, deadline: The arguments.
        result: Takes the result, or the error.
    """

    def __init__(self, work: PhotoWork, deadline: float) -> None:
        self.work, self.deadline = work, deadline
        self.result: Future[Any] = Future()
        # a running future cannot be cancelled, so that the worker may end it at any time
        self.result.set_running_or_notify_cancel()
        self._has_begun = self._is_abandoned = False

    def abandon(self) -> None:
        """Tells the worker that nobody waits for the result any more; what is left of the job is not done."""
        self._is_abandoned = True

    def is_wanted(self) -> bool:
        """Whether the result is still waited for; a job that nobody waits for, or whose time is over, ends here."""
        if self._is_abandoned:
            self.fail(RequestError(499, "gone", "the client has gone"))
            return False
        if time.monotonic() <= self.deadline:
            self._has_begun = True
            return True
        self.fail(self.timeout_error())
        return False

    def timeout_error(self) -> RequestError:
        """Returns the error about a job whose time is over: its own photo is too slow, or those before it were."""
        if self._has_begun:
            return RequestError(422, "too_slow", "the photo takes longer than the server's limit; shrink it")
        return RequestError(
            429, "busy", "the photo waited longer than the server's limit; try again later", {"Retry-After": "5"}
        )

    def fail(self, error: BaseException) -> None:
        """Ends the job with an error."""
        self.result.set_exception(error)

    def finish(self, scored: ScoredRegions | None) -> None:
        """Ends the job with its result; see `PhotoWork.finish`."""
        try:
            result = self.work.finish(scored)
        except Exception as error:
            self.fail(error)
            return
        self.result.set_result(result)


class PhotoWorker:
    """Works on jobs in the order in which they come, in a thread of its own.

    Jobs that wait at the same time make a group, whose regions share batches where that pays off. Between the parts of
    a job the worker looks whether its result is still wanted.

    Args:
        score_photos: Classifies regions.
    """

    def __init__(self, score_photos: ScorePhotos) -> None:
        self._score_photos = score_photos
        self._waiting: deque[PhotoJob] = deque()
        self._has_news = threading.Condition()
        self._is_stopping = False
        self._has_ended = threading.Event()
        threading.Thread(target=self._run, name="incdet photo worker", daemon=True).start()

    @property
    def num_waiting(self) -> int:
        """Number of jobs that have not been taken yet."""
        return len(self._waiting)

    def is_alive(self) -> bool:
        """Whether the thread runs, which it does until its photo is done after a stop."""
        return not self._has_ended.is_set()

    def submit(self, job: PhotoJob) -> None:
        """Adds a job at the end of the queue; the caller bounds their number."""
        with self._has_news:
            if not self._is_stopping:
                self._waiting.append(job)
                self._has_news.notify()
                return
        job.fail(stopping_error())

    def withdraw(self, job: PhotoJob) -> None:
        """Gives up a job whose result nobody waits for any more; one that waits leaves the queue at once."""
        job.abandon()
        with self._has_news:
            if job in self._waiting:
                self._waiting.remove(job)

    def stop(self, seconds: float = 10.0) -> None:
        """Ends jobs that have not begun with an error, and waits for the one that has.

        Args:
            seconds: Longest time to wait.
        """
        with self._has_news:
            self._is_stopping = True
            self._has_news.notify()
        # an interruption while a thread is joined would make Python take the thread for ended
        self._has_ended.wait(seconds)

    def _run(self) -> None:
        while jobs := self._take():
            self._work_on(jobs)
        for job in self._waiting:
            job.fail(stopping_error())
        self._has_ended.set()

    def _take(self) -> deque[PhotoJob]:
        """Waits for jobs and removes a group of them from the queue; none once the worker is told to stop."""
        with self._has_news:
            while not self._waiting and not self._is_stopping:
                self._has_news.wait()
            num_taken = 0 if self._is_stopping else min(len(self._waiting), MAX_PHOTOS_UNDER_WAY)
            return deque(self._waiting.popleft() for _ in range(num_taken))

    def _work_on(self, jobs: deque[PhotoJob]) -> None:
        """Ends every job of a group with its result or an error."""
        under_way: deque[PhotoJob] = deque()
        while jobs:
            try:
                for scored in self._score_photos(self._regions_of(jobs, under_way)):
                    under_way.popleft().finish(scored)
            except Exception as error:
                # whatever was in the same batches is lost, the rest of the group is not
                for job in under_way:
                    job.fail(error)
                under_way.clear()

    def _regions_of(self, jobs: deque[PhotoJob], under_way: deque[PhotoJob]) -> Iterator[tuple[Image, np.ndarray]]:
        """Yields the regions of each job that has any, and moves it to those under way; ends the others."""
        while jobs:
            job = jobs.popleft()
            if not job.is_wanted():
                continue
            try:
                regions = job.work.prepare()
            except Exception as error:
                job.fail(error)
                continue
            if regions is None:
                job.finish(None)
            elif job.is_wanted():
                under_way.append(job)
                yield regions
