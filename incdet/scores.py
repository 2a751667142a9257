"""Regions -> class probabilities, look by look, in batches that photos may share; background dies here."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from incdet.networks.ensemble import Ensemble, Look
from incdet.ops.boxes import apply_box_deltas
from incdet.regions import RegionCropper

MOST_UNDER_WAY = 8
"""Photos whose regions may wait for a batch to fill."""


@dataclass
class ScoredPhoto:
    """A photo on its way through the looks.

    Attributes:
        cropper: of the photo.
        boxes: [R, 4] float32, its regions where the looks so far have moved them.
        probabilities: [R, C] float32, of each region's last look so far.
        by_network: [N, R, C] float32, what each network says; see `RegionScores`.
        missing: regions that have looks before them.
        seconds: spent on cutting its regions and, in proportion to their number, on the networks; a GPU cuts while the
            networks are waited for, and it counts there.
    """

    cropper: RegionCropper
    boxes: np.ndarray
    probabilities: np.ndarray
    by_network: np.ndarray
    missing: int
    seconds: dict[str, float] = field(default_factory=lambda: {"regions": 0.0, "scores": 0.0})


class _Part(NamedTuple):
    """Regions of one photo that wait for the same look."""

    photo: ScoredPhoto
    rows: np.ndarray
    maps: Tensor | None

    def split(self, count: int) -> "tuple[_Part, _Part]":
        first, second = (None, None) if self.maps is None else (self.maps[:count], self.maps[count:])
        return _Part(self.photo, self.rows[:count], first), _Part(self.photo, self.rows[count:], second)


class _Queue:
    """Regions of any photos that wait for a look, in order."""

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque()
        self.length = 0

    def add(self, part: _Part) -> None:
        if len(part.rows):
            self._parts.append(part)
            self.length += len(part.rows)

    def take(self, count: int) -> list[_Part]:
        """The first regions, so many or as many as there are."""
        taken = []
        while self._parts and count > 0:
            part, rest = self._parts.popleft().split(count)
            if len(rest.rows):
                self._parts.appendleft(rest)
            taken.append(part)
            count -= len(part.rows)
            self.length -= len(part.rows)
        return taken


def score_photos(
    photos: Iterable[tuple[RegionCropper, np.ndarray]],
    ensemble: Ensemble,
    num_classes: int,
    batch_size: int,
    across_photos: bool = False,
) -> Iterator[ScoredPhoto]:
    """Every photo with its regions and their probabilities, in order; background, the last column, is dropped.

    Args:
        photos: what cuts a photo's regions, and their boxes [R, 4].
        ensemble: gives the probabilities.
        num_classes: C.
        batch_size: regions per look.
        across_photos: batches are filled up with regions of the next photos, so a photo may come out only after the
            next ones, fewer than `MOST_UNDER_WAY`, went in; otherwise before the next one is asked for.
    """
    looks = ensemble.looks(num_classes)
    queues, cutter = [_Queue() for _ in range(len(looks) + 1)], _Cutter()
    under_way: deque[ScoredPhoto] = deque()

    def work(least: int) -> Iterator[ScoredPhoto]:
        for look, queue, following in zip(looks, queues, queues[1:], strict=False):
            while queue.length >= least:
                _look(look, queue.take(batch_size), following, cutter)
        while under_way and not under_way[0].missing:
            yield under_way.popleft()

    for cropper, boxes in photos:
        nothing = np.zeros((1 + len(ensemble.network_names), len(boxes), num_classes), np.float32)
        photo = ScoredPhoto(cropper, boxes.copy(), nothing[0], nothing[1:], len(boxes))
        under_way.append(photo)
        queues[0].add(_Part(photo, np.arange(len(boxes)), None))
        yield from work(batch_size if across_photos and len(under_way) < MOST_UNDER_WAY else 1)
    yield from work(1)


@torch.inference_mode()
def _look(look: Look, parts: list[_Part], following: _Queue, cutter: "_Cutter") -> None:
    """Writes the answers into the photos and passes on what deserves the next look."""
    crops = {context: cutter.cut(parts, context, look.shrink) for context in look.contexts}
    started = time.perf_counter()
    maps = [part.maps for part in parts if part.maps is not None]
    answer = look.answer(crops, torch.cat(maps) if maps else None)
    rows, chosen = answer.probabilities.cpu().numpy(), answer.passed.cpu()
    by_member = None if answer.by_member is None else answer.by_member.cpu().numpy()
    corrections = None if answer.corrections is None else answer.corrections.cpu().numpy()
    seconds = (time.perf_counter() - started) / len(rows)
    start = 0
    for part in parts:
        photo, own = part.photo, slice(start, start + len(part.rows))
        num_classes = photo.probabilities.shape[1]
        photo.probabilities[part.rows] = rows[own, :num_classes]
        if by_member is None:
            photo.by_network[:, part.rows] = rows[own, :num_classes]
        else:
            photo.by_network[-len(by_member) :, part.rows] = by_member[:, own, :num_classes]
        if corrections is not None:
            cropper, boxes = photo.cropper, photo.boxes[part.rows]
            photo.boxes[part.rows] = apply_box_deltas(boxes, corrections[own], cropper.width, cropper.height)
        further = chosen[own]
        kept = answer.maps[own][further.to(answer.maps.device)] if answer.maps is not None else None
        following.add(_Part(photo, part.rows[further.numpy()], kept))
        photo.missing -= len(part.rows) - int(further.sum())
        photo.seconds["scores"] += seconds * len(part.rows)
        start += len(part.rows)


class _Cutter:
    """Cuts batches of regions, one after the other into the same memory: new memory costs a CPU as much as cutting."""

    def __init__(self) -> None:
        self._memory: dict[tuple[int, int], Tensor] = {}

    def cut(self, parts: list[_Part], context: int, shrink: int) -> Tensor:
        """Crops [B, 3, S, S] of all parts, which the next call with this context and size overwrites."""
        first, count = parts[0].photo.cropper, sum(len(part.rows) for part in parts)
        size = first.preprocessing.size // shrink
        crops = self._memory.get((context, size))
        if crops is None or len(crops) < count:
            crops = self._memory[context, size] = torch.empty(count, 3, size, size, device=first.device)
        start = 0
        for _, group in groupby(parts, key=lambda part: id(part.photo)):
            same = list(group)
            photo, rows = same[0].photo, np.concatenate([part.rows for part in same])
            started, stop = time.perf_counter(), start + len(rows)
            photo.cropper.crop(photo.boxes[rows], context=context, shrink=shrink, out=crops[start:stop])
            photo.seconds["regions"] += time.perf_counter() - started
            start = stop
        return crops[:count]
