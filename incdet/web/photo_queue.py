"""The way of a request's photo through the queue, as the event loop sees it: a place, the upload, the wait."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request

from incdet.web.photo_worker import PhotoJob, PhotoWork, PhotoWorker
from incdet.web.request_errors import RequestError, busy_error
from incdet.web.server_limits import ServerLimits
from incdet.web.server_metrics import ServerMetrics
from incdet.web.uploads import Upload, read_upload


class PhotoQueue:
    """Takes photos up to a number, has the worker work on them, and gives up those whose clients go.

    Args:
        worker: The thread that owns the networks.
        limits: Numbers and seconds.
        metrics: Is told the seconds of stages.

    Attributes:
        worker, limits, metrics: The arguments.
        num_photos: Number of photos that are uploaded, wait or are computed.
    """

    def __init__(self, worker: PhotoWorker, limits: ServerLimits, metrics: ServerMetrics) -> None:
        self.worker, self.limits, self.metrics = worker, limits, metrics
        self.num_photos = 0

    async def serve(self, request: Request, make_work: Callable[[Upload], PhotoWork]) -> Any:
        """Reads the photo of a request, waits for its turn, and returns the result.

        Args:
            request: The request, whose body nobody has read.
            make_work: Makes the work on the photo.

        Raises:
            RequestError: There is no place, the upload or the photo is over a limit, or cannot be used.
            IncdetError: The photo or an option cannot be used.
        """
        # the place comes before the upload, so that memory is bounded, too
        with self._place():
            work = make_work(await read_upload(request, self.limits))
            job = PhotoJob(work, time.monotonic() + self.limits.photo_seconds)
            self.worker.submit(job)
            try:
                result = await self._result_of(job, request)
            finally:
                # without effect on a job that has ended
                self.worker.withdraw(job)
        self.metrics.add_stages(work.watch.seconds)
        return result

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Holds one of the places for photos."""
        if self.num_photos >= self.limits.max_photos:
            raise busy_error(self.limits.max_photos)
        self.num_photos += 1
        try:
            yield
        finally:
            self.num_photos -= 1

    async def _result_of(self, job: PhotoJob, request: Request) -> Any:
        """Waits for the job's result, for its client to go, or for its time to be over."""
        result = asyncio.wrap_future(job.result)
        gone = asyncio.ensure_future(_wait_until_gone(request))
        try:
            # a job is over its time only between two parts, so the wait is a little longer than the limit
            await asyncio.wait(
                (result, gone), timeout=self.limits.photo_seconds + 1, return_when=asyncio.FIRST_COMPLETED
            )
            if result.done():
                return result.result()
            if gone.done():
                raise RequestError(499, "gone", "the client has gone")
            raise job.timeout_error()
        finally:
            for task in (result, gone):
                task.cancel()


async def _wait_until_gone(request: Request) -> None:
    """Returns when the client closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
