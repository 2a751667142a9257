"""Detection in many photos: prefetching, batches across photos, and every error in its photo's place."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from incdet.config.sections import Config
from incdet.detections import Detections
from incdet.errors import ImageError
from incdet.images import ImageSource
from incdet.pipeline.batching import score_across_photos
from incdet.pipeline.cropped_regions import CroppedRegionScorer
from incdet.pipeline.prefetching import LoadedPhoto, PhotoLoader, prefetch_photos
from incdet.proposals import Proposers
from incdet.regions import RegionCropper
from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import RegionScorer, ScoredRegions
from incdet.structures import Image, Proposals, RegionScores


@dataclass(frozen=True, eq=False)
class PhotoResult:
    """The result of one photo: detections or an error.

    Attributes:
        source: the photo as it was given.
        image: the photo; None where it could not be read.
        result: the detections, with the seconds of each stage, or the error.
    """

    source: ImageSource
    image: Image | None
    result: Detections | ImageError


class DetectionStages(Protocol):
    """The parts of a detector that a stream runs."""

    config: Config
    device: torch.device
    proposers: Proposers

    @property
    def scorer(self) -> RegionScorer:
        """Classifies regions."""

    def select(self, scores: RegionScores, image: Image) -> Detections:
        """Detections from region scores."""


def stream_detections(
    stages: DetectionStages, sources: Iterable[ImageSource], num_workers: int
) -> Iterator[PhotoResult]:
    """The result of every photo, in order.

    Args:
        stages: the detector.
        sources: the photos; read as the results are consumed.
        num_workers: number of processes that read photos and propose regions ahead; on a GPU, batches of crops are then
            filled with regions of several photos. With 0 the result of a photo is there before the next one is read.
    """
    # while the first photo is read and searched
    stages.scorer.prepare()
    loaded = prefetch_photos(sources, _loader(stages, num_workers), num_workers)
    # a CPU computes few regions at a time, whatever the batch, and pooled regions of one photo fill a GPU's batches
    scorer = stages.scorer
    if num_workers > 0 and stages.device.type == "cuda" and isinstance(scorer, CroppedRegionScorer):
        yield from _stream_across_photos(stages, scorer, loaded)
        return
    for source, photo in loaded:
        if isinstance(photo, ImageError):
            yield PhotoResult(source, None, photo)
            continue
        proposals, watch = _propose(stages, photo)
        scored = scorer(photo.image, proposals.boxes)
        yield _select(stages, source, photo.image, scored, watch)


@dataclass(frozen=True, eq=False)
class _UnderWay:
    """A photo whose regions are being classified."""

    source: ImageSource
    image: Image
    watch: Stopwatch


def _stream_across_photos(
    stages: DetectionStages,
    scorer: CroppedRegionScorer,
    loaded: Iterable[tuple[ImageSource, LoadedPhoto | ImageError]],
) -> Iterator[PhotoResult]:
    """The same results from batches that several photos share."""
    # photos whose results have not been handed out, in order; one that cannot be read waits here for its turn
    waiting: deque[PhotoResult | _UnderWay] = deque()

    def readable() -> Iterator[tuple[RegionCropper, np.ndarray]]:
        for source, photo in loaded:
            if isinstance(photo, ImageError):
                waiting.append(PhotoResult(source, None, photo))
                continue
            # the regions of this photo go into batches; the photo waits for them to come out
            proposals, watch = _propose(stages, photo)
            waiting.append(_UnderWay(source, photo.image, watch))
            yield scorer.cropper(photo.image), proposals.boxes

    for regions in score_across_photos(readable(), scorer.cascade, scorer.batch_size):
        yield from _failures_before_the_next(waiting)
        photo = waiting.popleft()
        assert isinstance(photo, _UnderWay)
        yield _select(stages, photo.source, photo.image, regions.scored(), photo.watch)
    yield from _failures_before_the_next(waiting)


def _failures_before_the_next(waiting: "deque[PhotoResult | _UnderWay]") -> Iterator[PhotoResult]:
    """Removes the failed photos at the head of the queue."""
    while waiting and isinstance(waiting[0], PhotoResult):
        failed = waiting.popleft()
        assert isinstance(failed, PhotoResult)
        yield failed


def _loader(stages: DetectionStages, num_workers: int) -> PhotoLoader:
    """The loader of photos; beside a GPU, processes leave MultiBox to it and only cut its photo crops.

    They leave it to this process, too, where it reads the feature maps that the regions need as well.
    """
    images, proposers = stages.config.images, stages.proposers
    if not num_workers or (stages.device.type == "cpu" and not proposers.shares_features):
        return PhotoLoader(images, proposers)
    # MultiBox runs in this process; preparing its crops is the part that other processes can do ahead
    methods = tuple(method for method in proposers.config.methods if method != "multibox")
    others = Proposers(proposers.config.model_copy(update={"methods": methods}), scores=proposers.scores)
    return PhotoLoader(images, others, proposers.photo_cropper)


def _propose(stages: DetectionStages, photo: LoadedPhoto) -> tuple[Proposals, Stopwatch]:
    """Runs the methods that have not run yet and joins all proposals; the watch knows what has been done so far."""
    watch, proposers = Stopwatch(photo.seconds), stages.proposers
    by_method = dict(photo.by_method)
    shared_before = proposers.shared_seconds(photo.image)
    with watch.stage("proposals"):
        for method in proposers.config.methods:
            if method not in by_method:
                by_method[method] = proposers.propose_by(method, photo.image, photo_crops=photo.photo_crops)
        proposals = proposers.join(by_method)
    # feature maps that regions need, too, count with those
    watch.seconds["proposals"] -= proposers.shared_seconds(photo.image) - shared_before
    return proposals, watch


def _select(
    stages: DetectionStages, source: ImageSource, image: Image, scored: ScoredRegions, watch: Stopwatch
) -> PhotoResult:
    watch = Stopwatch(watch.seconds | dict(scored.seconds))
    with watch.stage("detections"):
        found = stages.select(scored.scores, image)
    return PhotoResult(source, image, replace(found, seconds=watch.seconds))
