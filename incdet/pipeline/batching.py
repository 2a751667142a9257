"""Batches that regions of several photos share, so that a GPU computes full ones."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from incdet.regions import RegionCropper
from incdet.scores import CascadeStage, CropMemory, PhotoRegions, PhotoRows, RegionClassifier, run_stage

MAX_PHOTOS_UNDER_WAY = 8
"""Photos whose regions may wait for a batch to fill; more hold more memory than full batches are worth."""


class _Waiting(NamedTuple):
    """Regions of one photo that wait for the same stage.

    Attributes:
        photo: the photo.
        rows: [K] int64.
        feature_maps: [K, channels, H, W] that the stage before kept for them, if any.
    """

    photo: PhotoRegions
    rows: np.ndarray
    feature_maps: Tensor | None

    def split(self, count: int) -> "tuple[_Waiting, _Waiting]":
        """The first `count` regions, and the rest."""
        first = _Waiting(self.photo, self.rows[:count], _part(self.feature_maps, slice(count)))
        rest = _Waiting(self.photo, self.rows[count:], _part(self.feature_maps, slice(count, None)))
        return first, rest


def _part(feature_maps: Tensor | None, rows: slice) -> Tensor | None:
    return None if feature_maps is None else feature_maps[rows]


class _Queue:
    """Regions of any photos that wait for a stage, first come, first served; `length` counts them."""

    def __init__(self) -> None:
        self._entries: deque[_Waiting] = deque()
        self.length = 0

    def add(self, entry: _Waiting) -> None:
        """Appends regions."""
        if len(entry.rows):
            self._entries.append(entry)
            self.length += len(entry.rows)

    def take(self, count: int) -> list[_Waiting]:
        """Removes the first `count` regions, or all where there are fewer."""
        taken = []
        while self._entries and count > 0:
            # the last photo of a batch may fit in part; the rest of it stays first in the queue
            entry, rest = self._entries.popleft().split(count)
            if len(rest.rows):
                self._entries.appendleft(rest)
            taken.append(entry)
            count -= len(entry.rows)
            self.length -= len(entry.rows)
        return taken


class _Batcher:
    """Runs the stages of a cascade on batches of regions from any photos."""

    def __init__(self, classifier: RegionClassifier, batch_size: int) -> None:
        self.stages, self.batch_size = classifier.stages, batch_size
        # one queue before each stage, and one behind the last, which stays empty
        self._queues = [_Queue() for _ in range(len(self.stages) + 1)]
        self._memory = CropMemory()

    def add(self, photo: PhotoRegions) -> None:
        """Puts all regions of a photo in front of the cascade."""
        self._queues[0].add(_Waiting(photo, np.arange(len(photo.boxes)), None))

    def run(self, min_regions: int) -> None:
        """Runs each stage in turn as long as at least `min_regions` wait for it."""
        # in the order of the cascade, so that what passes one stage is there for the next in the same round
        for stage, queue, following in zip(self.stages, self._queues, self._queues[1:], strict=False):
            while queue.length >= min_regions:
                self._run_batch(stage, queue.take(self.batch_size), following)

    def _run_batch(self, stage: CascadeStage, entries: list[_Waiting], following: _Queue) -> None:
        given = [entry.feature_maps for entry in entries if entry.feature_maps is not None]
        batch = [PhotoRows(entry.photo, entry.rows) for entry in entries]
        passed, kept = run_stage(stage, batch, torch.cat(given) if given else None, self._memory)
        # `passed` has a row for every region of the batch, `kept` only for those that passed
        start = kept_start = 0
        for entry in entries:
            own = passed[start : start + len(entry.rows)]
            kept_stop = kept_start + int(own.sum())
            following.add(_Waiting(entry.photo, entry.rows[own], _part(kept, slice(kept_start, kept_stop))))
            start, kept_start = start + len(entry.rows), kept_stop


def score_across_photos(
    photos: Iterable[tuple[RegionCropper, np.ndarray]], classifier: RegionClassifier, batch_size: int
) -> Iterator[PhotoRegions]:
    """Classifies the regions of many photos in batches that are full, and yields the photos in order.

    A photo may come out only after the next ones, fewer than `MAX_PHOTOS_UNDER_WAY`, went in.

    Args:
        photos: a cropper and boxes [R, 4] float32, xyxy pixels, for each photo; read as the results are consumed.
        classifier: the cascade.
        batch_size: number of regions that a stage classifies at a time.
    """
    batcher = _Batcher(classifier, batch_size)
    under_way: deque[PhotoRegions] = deque()
    for cropper, boxes in photos:
        photo = PhotoRegions(cropper, boxes, classifier)
        under_way.append(photo)
        batcher.add(photo)
        # full batches only, until too many photos wait; then every region that waits is computed
        batcher.run(batch_size if len(under_way) < MAX_PHOTOS_UNDER_WAY else 1)
        # photos come out in order, so a finished one waits for those before it
        while under_way and not under_way[0].num_waiting:
            yield under_way.popleft()
    batcher.run(1)
    yield from under_way
