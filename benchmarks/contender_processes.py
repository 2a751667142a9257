"""Contenders of a comparison, each in a process of its own, and incdet's detector as a contender."""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from detection_peers import Contender, PhotoSeconds
from multiply_adds import CountingBackend, MultiplyAdds

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.images import read_image
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.runtime.provenance import peak_memory_gigabytes
from incdet.runtime.stopwatch import Stopwatch

_made: list[Contender] = []
"""The contender of a measuring process, made with the first photo, because an error there can be reported."""


class ContenderProcesses:
    """Runs each contender in a process of its own, so that neither memory nor threads are shared.

    Args:
        makers: name -> function that makes the contender inside its process; it must be picklable.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Contender]]) -> None:
        self.makers = makers
        self._pools = {name: ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) for name in makers}

    def __enter__(self) -> "ContenderProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def run(self, name: str, photo: Path) -> tuple[PhotoSeconds, float]:
        """Runs a contender on a photo and waits for it.

        Returns:
            The seconds, and the largest memory of the process so far, in gigabytes.

        Raises:
            IncdetError: the contender cannot be made or cannot read the photo.
        """
        return self._pools[name].submit(_measure, self.makers[name], photo).result()


def _measure(make: Callable[[], Contender], photo: Path) -> tuple[PhotoSeconds, float]:
    if not _made:
        _made.append(make())
    return _made[0](photo), peak_memory_gigabytes()


def make_incdet(weights: Sequence[str], settings: Sequence[str]) -> Contender:
    """Makes incdet's detector a contender.

    Args:
        weights: names or files of the weights; none are those that the settings lead to.
        settings: settings `dotted.key=value`.

    Returns:
        A contender that counts multiply-adds where the detector has one network for shared features or one network
        for crops.
    """
    detector = Detector.from_pretrained(*weights, config=load_config(Config, settings=settings))
    backends: list[CountingBackend] = []
    if isinstance(detector.scorer, SharedRegionScorer):
        backends = [CountingBackend(member.backend) for member in detector.scorer.members]
        pairs = zip(detector.scorer.members, backends, strict=True)
        members = [replace(member, backend=backend) for member, backend in pairs]
        detector.scorer = replace(detector.scorer, members=members)
        counts = [MultiplyAdds(member.network) for member in members]

    def run(photo: Path) -> PhotoSeconds:
        watch = Stopwatch()
        with watch.stage("read"):
            image = read_image(photo)
        with watch.stage("proposals"):
            proposals = detector.propose(image)
        for backend in backends:
            backend.reset()
        scores = detector.score(image, proposals, watch)
        with watch.stage("detections"):
            detector.select(scores, image)
        if not backends:
            return PhotoSeconds(watch.seconds, len(proposals))
        pairs = list(zip(counts, backends, strict=True))
        work = {
            "features": sum(count.photo(*size) for count, backend in pairs for size in backend.photo_sizes),
            "scores": sum(count.region() * backend.num_regions for count, backend in pairs),
        }
        return PhotoSeconds(watch.seconds, len(proposals), work)

    return run
