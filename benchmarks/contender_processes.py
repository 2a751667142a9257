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
from incdet.pipeline.cropped_regions import CroppedRegionScorer
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
        # waits for the processes: a program that is itself a process of multiprocessing closes the queues of its pools
        # when it ends, maybe before a pool that nobody waits for has told its process to end
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)

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
    """
    detector = Detector.from_pretrained(*weights, config=load_config(Config, settings=settings))
    work = DetectorWork(detector)

    def run(photo: Path) -> PhotoSeconds:
        watch = Stopwatch()
        with watch.stage("read"):
            image = read_image(photo)
        with watch.stage("proposals"):
            proposals = detector.propose(image)
        work.reset()
        scores = detector.score(image, proposals, watch)
        with watch.stage("detections"):
            detector.select(scores, image)
        return PhotoSeconds(watch.seconds, len(proposals), work.multiply_adds(len(proposals)))

    return run


class DetectorWork:
    """Counts the multiply-adds of a detector's networks.

    Args:
        detector: its backends are replaced by ones that count, where its networks share feature maps.
    """

    def __init__(self, detector: Detector) -> None:
        self._backends: list[CountingBackend] = []
        self._counts: list[MultiplyAdds] = []
        self._per_crop: int | None = None
        scorer = detector.scorer
        if isinstance(scorer, SharedRegionScorer):
            self._counts = [MultiplyAdds(member.network) for member in scorer.members]
            self._backends = [CountingBackend(member.backend) for member in scorer.members]
            pairs = zip(scorer.members, self._backends, strict=True)
            members = [replace(member, backend=backend) for member, backend in pairs]
            detector.scorer = replace(scorer, members=members)
        elif isinstance(scorer, CroppedRegionScorer) and scorer.cascade.rejection_network is None:
            self._per_crop = sum(
                MultiplyAdds(member.network).crop(scorer.preprocessing.size) for member in scorer.cascade.members
            )

    def reset(self) -> None:
        """Forgets what was computed so far."""
        for backend in self._backends:
            backend.reset()

    def multiply_adds(self, num_regions: int) -> dict[str, int] | None:
        """Counts the multiply-adds since `reset`.

        Args:
            num_regions: number of proposals of the photo.

        Returns:
            Stage -> number of multiply-adds; None for cascades, where probabilities decide what is computed.
        """
        if self._per_crop is not None:
            return {"scores": self._per_crop * num_regions}
        if not self._backends:
            return None
        features, scores = 0, 0
        for count, backend in zip(self._counts, self._backends, strict=True):
            features += sum(count.photo(height, width) for height, width in backend.photo_sizes)
            scores += count.region() * backend.num_regions
        return {"features": features, "scores": scores}
