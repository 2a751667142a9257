"""Regions -> class probabilities: the stages of a cascade classify them in batches and drop background."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from incdet.networks.finite_outputs import require_finite
from incdet.ops.boxes import apply_box_deltas
from incdet.regions import RegionCropper
from incdet.structures import Image, RegionScores

Crops = Mapping[int, Tensor]
"""Pixels of context -> the same B regions, cut with that much of it: [B, 3, S, S] float32, preprocessed."""


@dataclass(frozen=True, eq=False)
class StageOutput:
    """What a stage of a cascade says about a batch of B regions.

    Attributes:
        probabilities: [B, C + 1] float32, background last.
        passed: [B] bool, the regions that the next stage classifies, too.
        feature_maps: [B, channels, H, W] of all regions, where the next stage goes on from them; None elsewhere.
        box_deltas: [B, 4] float32 for `apply_box_deltas`; None where the stage moves no regions.
        by_member: [M, B, C + 1] float32, the probabilities of each member of an ensemble; None for a single network.
    """

    probabilities: Tensor
    passed: Tensor
    feature_maps: Tensor | None = None
    box_deltas: Tensor | None = None
    by_member: Tensor | None = None


class CascadeStage(Protocol):
    """One of the stages that regions pass: each costs more than the one before and classifies fewer regions."""

    @property
    def contexts(self) -> tuple[int, ...]:
        """Pixels of context of the crops that the stage needs; none where it only goes on from feature maps."""

    @property
    def shrink(self) -> int:
        """Factor by which its crops have fewer pixels along each side."""

    def __call__(self, crops: Crops, feature_maps: Tensor | None) -> StageOutput:
        """Classifies a batch.

        Args:
            crops: the regions in every context of `contexts`. The output holds no views of them, because the next
                batch overwrites them.
            feature_maps: [B, channels, H, W] that the previous stage kept for these regions; None elsewhere.
        """


class RegionClassifier(Protocol):
    """A cascade: its stages, and what they say."""

    @property
    def stages(self) -> Sequence[CascadeStage]:
        """The stages in their order; the last one lets no region pass."""

    @property
    def num_classes(self) -> int:
        """C, without background."""

    @property
    def network_names(self) -> Sequence[str]:
        """Names of the N networks, the rejection network, if any, before the members."""


@dataclass(frozen=True, eq=False)
class ScoredRegions:
    """The regions of one photo, classified.

    Attributes:
        scores: boxes and class probabilities.
        seconds: time spent, by stage of the pipeline.
    """

    scores: RegionScores
    seconds: Mapping[str, float]


class RegionScorer(Protocol):
    """Classifies the regions of photos, whatever their feature maps come from."""

    @property
    def network_names(self) -> Sequence[str]:
        """Names of the networks whose probabilities `RegionScores.by_network` holds, in its order."""

    def prepare(self) -> None:
        """Begins to make the networks ready in another thread, where that takes time; work need not wait for it."""

    def __call__(self, image: Image, boxes: np.ndarray) -> ScoredRegions:
        """Classifies the regions of one photo.

        Args:
            image: the photo.
            boxes: [R, 4] float32, xyxy pixels, the proposals.
        """

    def describe(self) -> str:
        """Returns one phrase that describes the networks, for the screen."""


class PhotoRegions:
    """The regions of one photo on their way through a cascade.

    Attributes:
        cropper: cuts the regions out of the photo.
        boxes: [R, 4] float32, xyxy pixels, the regions as the stages so far have moved them.
        num_waiting: number of regions that have a stage before them.
        seconds: time spent on cutting crops ("regions") and on the networks ("scores", in proportion to the number of
            regions in a batch). A GPU cuts while its networks are waited for, which counts as "scores".
    """

    def __init__(self, cropper: RegionCropper, boxes: np.ndarray, classifier: RegionClassifier) -> None:
        num_networks = len(classifier.network_names)
        self.cropper, self.boxes = cropper, boxes.copy()
        self.num_waiting = len(boxes)
        self.seconds = {"regions": 0.0, "scores": 0.0}
        self._probabilities = np.zeros((len(boxes), classifier.num_classes), np.float32)
        self._by_network = np.zeros((num_networks, len(boxes), classifier.num_classes), np.float32)

    def scores(self) -> RegionScores:
        """The regions as they lie now with the probabilities of the last stage that classified each."""
        require_finite(self.boxes, self._probabilities, self._by_network)
        return RegionScores(self.boxes, self._probabilities, self._by_network)

    def scored(self) -> ScoredRegions:
        """The regions with their probabilities, and the seconds."""
        return ScoredRegions(self.scores(), self.seconds)

    def keep(
        self, rows: np.ndarray, probabilities: np.ndarray, by_member: np.ndarray | None, box_deltas: np.ndarray | None
    ) -> None:
        """Stores what a stage said about some regions, without background.

        Args:
            rows: [K] int64, the regions.
            probabilities: [K, C + 1] float32.
            by_member: [M, K, C + 1] float32; None where the stage is a rejection network, whose probabilities then
                count for every network.
            box_deltas: [K, 4] float32; None moves no region.

        Raises:
            WeightsError: box deltas are no numbers.
        """
        num_classes = self._probabilities.shape[1]
        self._probabilities[rows] = probabilities[:, :num_classes]
        if by_member is None:
            self._by_network[:, rows] = probabilities[:, :num_classes]
        else:
            self._by_network[-len(by_member) :, rows] = by_member[:, :, :num_classes]
        if box_deltas is not None:
            # out of numbers that are none, boxes are made that look sound
            require_finite(box_deltas)
            self.boxes[rows] = apply_box_deltas(self.boxes[rows], box_deltas, self.cropper.width, self.cropper.height)


class PhotoRows(NamedTuple):
    """Some regions of a photo: `rows` [K] int64."""

    photo: PhotoRegions
    rows: np.ndarray


def score_regions(
    cropper: RegionCropper, boxes: np.ndarray, classifier: RegionClassifier, batch_size: int
) -> PhotoRegions:
    """Classifies the regions of one photo.

    Args:
        cropper: cuts regions out of the photo.
        boxes: [R, 4] float32, xyxy pixels, the proposals.
        classifier: the cascade.
        batch_size: largest number of regions that a stage classifies at a time.

    Returns:
        The photo's regions; `scores()` gives their class probabilities.
    """
    photo, memory = PhotoRegions(cropper, boxes, classifier), CropMemory()
    rows, feature_maps = np.arange(len(boxes)), None
    for stage in classifier.stages:
        passed_rows, passed_maps = [np.zeros(0, np.int64)], []
        for start in range(0, len(rows), batch_size):
            batch = slice(start, start + batch_size)
            given = None if feature_maps is None else feature_maps[batch]
            passed, kept = run_stage(stage, [PhotoRows(photo, rows[batch])], given, memory)
            passed_rows.append(rows[batch][passed])
            passed_maps += [] if kept is None else [kept]
        rows = np.concatenate(passed_rows)
        feature_maps = torch.cat(passed_maps) if passed_maps else None
    return photo


@torch.inference_mode()
def run_stage(
    stage: CascadeStage, batch: Sequence[PhotoRows], feature_maps: Tensor | None, memory: "CropMemory"
) -> tuple[np.ndarray, Tensor | None]:
    """Classifies a batch of regions, which may come from several photos, and stores the result in these.

    Args:
        stage: the stage of the cascade.
        batch: B regions.
        feature_maps: [B, channels, H, W] that the stage before kept for them, if any.
        memory: takes the crops.

    Returns:
        [B] bool, the regions that the next stage classifies, and the feature maps kept for those, if any.
    """
    crops = {context: memory.cut(batch, context, stage.shrink) for context in stage.contexts}
    started = time.perf_counter()
    output = stage(crops, feature_maps)
    # waits for the device
    probabilities, passed = output.probabilities.cpu().numpy(), output.passed.cpu()
    by_member = None if output.by_member is None else output.by_member.cpu().numpy()
    box_deltas = None if output.box_deltas is None else output.box_deltas.cpu().numpy()
    seconds_per_region = (time.perf_counter() - started) / len(probabilities)
    start = 0
    for photo, rows in batch:
        own = slice(start, start + len(rows))
        photo.keep(
            rows,
            probabilities[own],
            None if by_member is None else by_member[:, own],
            None if box_deltas is None else box_deltas[own],
        )
        photo.num_waiting -= len(rows) - int(passed[own].sum())
        photo.seconds["scores"] += seconds_per_region * len(rows)
        start = own.stop
    kept = output.feature_maps
    return passed.numpy(), None if kept is None else kept[passed.to(kept.device)]


class CropMemory:
    """Memory for batches of crops, used again and again: new memory costs a CPU as much as cutting does."""

    def __init__(self) -> None:
        self._memory: dict[tuple[int, int], Tensor] = {}

    def cut(self, batch: Sequence[PhotoRows], context: int, shrink: int) -> Tensor:
        """The crops of a batch, [B, 3, S, S] float32; the next call with this context and size overwrites them.

        Args:
            batch: B regions.
            context: pixels of context.
            shrink: factor by which the crops have fewer pixels along each side.
        """
        first, count = batch[0].photo.cropper, sum(len(rows) for _, rows in batch)
        size = first.preprocessing.size // shrink
        crops = self._memory.get((context, size))
        if crops is None or len(crops) < count:
            crops = self._memory[context, size] = torch.empty(count, 3, size, size, device=first.device)
        start = 0
        # neighbours of the same photo are cut in one go
        for _, group in groupby(batch, key=lambda entry: id(entry.photo)):
            entries = list(group)
            photo, rows = entries[0].photo, np.concatenate([rows for _, rows in entries])
            started, stop = time.perf_counter(), start + len(rows)
            photo.cropper.crop(photo.boxes[rows], context=context, shrink=shrink, out=crops[start:stop])
            photo.seconds["regions"] += time.perf_counter() - started
            start = stop
        return crops[:count]
