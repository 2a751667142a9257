"""The worker's thread: order, errors that stay with their photo, clients that go, time that is over, a stop."""

import threading
import time

import numpy as np
import pytest

from incdet.pipeline.batching import MAX_PHOTOS_UNDER_WAY
from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import ScoredRegions
from incdet.structures import Image, RegionScores
from incdet.web.photo_worker import PhotoJob, PhotoRegionsRequest, PhotoWorker
from incdet.web.request_errors import RequestError

BOXES = np.array([[0, 0, 4, 4]], np.float32)


class Work:
    """Work that tells what was done, and may wait or fail."""

    def __init__(self, value, wait=None, fails=(), regions=True):
        self.value, self.wait, self.fails, self.regions = value, wait, fails, regions
        self.begun = threading.Event()
        self.watch = Stopwatch()

    def prepare(self):
        self.begun.set()
        if self.wait is not None:
            assert self.wait.wait(20)
        if "prepare" in self.fails:
            raise ValueError("prepare")
        pixels = np.full((4, 4, 3), self.value, np.uint8)
        return PhotoRegionsRequest(Image(pixels), BOXES) if self.regions else None

    def finish(self, scored):
        if "finish" in self.fails:
            raise ValueError("finish")
        return self.value, None if scored is None else float(scored.scores.probabilities[0, 0])


def score(photos):
    """The probability of a photo's region is the brightness of the photo."""
    for image, boxes in photos:
        value = image.pixels[0, 0, 0]
        if value == 99:
            raise RuntimeError("the networks fail")
        yield ScoredRegions(RegionScores(boxes, np.full((1, 1), value / 100, np.float32)), {})


def score_together(photos):
    """The same for all photos at once, as a GPU's batches do."""
    yield from score(list(photos))


def job_of(work, seconds=30.0):
    return PhotoJob(work, time.monotonic() + seconds)


@pytest.fixture(params=[score, score_together])
def worker(request):
    worker = PhotoWorker(request.param)
    yield worker
    worker.stop()


def test_results_are_those_of_their_photos(worker):
    release = threading.Event()
    jobs = [job_of(Work(number, wait=release, regions=number % 3 > 0)) for number in range(2 * MAX_PHOTOS_UNDER_WAY)]
    for job in jobs:
        worker.submit(job)
    release.set()
    expected = [(number, None if number % 3 == 0 else pytest.approx(number / 100)) for number in range(len(jobs))]
    assert [job.result.result(20) for job in jobs] == expected


def test_an_error_stays_with_its_photo(worker):
    release = threading.Event()
    first = job_of(Work(1, wait=release))
    jobs = [job_of(Work(2, fails=("prepare",))), job_of(Work(3)), job_of(Work(4, fails=("finish",))), job_of(Work(5))]
    for job in (first, *jobs):
        worker.submit(job)
    release.set()
    assert [type(job.result.exception(20)) for job in jobs] == [ValueError, type(None), ValueError, type(None)]


def test_networks_that_fail_do_not_end_the_worker(worker):
    bad, good = job_of(Work(99)), job_of(Work(7))
    worker.submit(bad)
    assert isinstance(bad.result.exception(20), RuntimeError)
    worker.submit(good)
    assert good.result.result(20) == (7, pytest.approx(0.07))


def test_nobody_works_for_clients_that_have_gone(worker):
    release = threading.Event()
    first, gone, last = Work(1, wait=release), Work(2), Work(3)
    jobs = [job_of(work) for work in (first, gone, last)]
    worker.submit(jobs[0])
    assert first.begun.wait(20)
    for job in jobs[1:]:
        worker.submit(job)
    assert worker.num_waiting == 2
    worker.withdraw(jobs[1])
    assert worker.num_waiting == 1
    # a job that has begun ends before its networks
    worker.withdraw(jobs[0])
    release.set()
    assert jobs[2].result.result(20)[0] == 3
    assert isinstance(jobs[0].result.exception(20), RequestError)
    assert not gone.begun.is_set()


def test_time_that_is_over_is_told(worker):
    release = threading.Event()
    slow, late = job_of(Work(1, wait=release), 0.05), job_of(Work(2), 0.05)
    worker.submit(slow)
    worker.submit(late)
    time.sleep(0.1)
    release.set()
    errors = [job.result.exception(20) for job in (slow, late)]
    assert [(error.status, error.code) for error in errors] == [(422, "too_slow"), (429, "busy")]


def test_a_stop_finishes_what_has_begun_and_refuses_the_rest():
    worker, release = PhotoWorker(score), threading.Event()
    first = Work(1, wait=release)
    jobs = [job_of(first), job_of(Work(2))]
    worker.submit(jobs[0])
    assert first.begun.wait(20)
    worker.submit(jobs[1])
    threading.Timer(0.1, release.set).start()
    worker.stop(20)
    assert jobs[0].result.result(0)[0] == 1
    after = job_of(Work(3))
    worker.submit(after)
    assert [job.result.exception(0).code for job in (jobs[1], after)] == ["stopping", "stopping"]
