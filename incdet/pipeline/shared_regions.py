"""Regions classified out of the feature maps of the whole photo, which are computed once (SPP-net, Fast R-CNN).

Stages 1 to 4 of GoogLeNet run over the photo. Each region is pooled from their feature maps, and stage 5, the
classifier and the box regressor see it. A photo of 512 x 683 pixels costs 10 G multiply-adds and a region 0.122 G; a
crop of each region costs 1.58 G.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from incdet.networks.ensemble import Member, split_outputs
from incdet.networks.finite_outputs import require_finite
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import apply_box_deltas
from incdet.ops.nms import nms
from incdet.pipeline.photo_features import FeatureStore, PhotoFeatures, choose_levels
from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import ScoredRegions
from incdet.structures import Image, RegionScores


class MemberOutputs(NamedTuple):
    """The outputs of M networks for R regions.

    Attributes:
        probabilities: [M, R, C] float32, without background.
        box_deltas: [R, 4] float32 for `apply_box_deltas`, the mean over the networks that have a box regressor; None
            where none has.
    """

    probabilities: np.ndarray
    box_deltas: np.ndarray | None


@dataclass(frozen=True, eq=False)
class SharedRegionScorer:
    """Pools regions from feature maps that all of them share; see `RegionScorer`.

    Attributes:
        members: the M networks, trained on shared features, whose probabilities and box deltas are averaged.
        preprocessing: colours, crop size and region size, shared by all networks.
        photo_sides: lengths to which the shorter side of a photo is resized, in pixels.
        device: the device that computes.
        batch_size: largest number of regions that are classified at a time.
        rounds: number of times that promising regions are classified; from the second round on where box deltas have
            moved them.
        round_min_probability: lowest probability of any class with which a region takes part in another round.
        region_iou: largest Jaccard index (IoU), in [0, 1], of two regions that are classified. Of regions that overlap
            more, the first one is; the others have probabilities of 0.
    """

    members: Sequence[Member]
    preprocessing: Preprocessing
    photo_sides: Sequence[int]
    device: torch.device
    batch_size: int
    rounds: int = 1
    round_min_probability: float = 0.05
    region_iou: float = 1.0

    @cached_property
    def store(self) -> FeatureStore:
        """The feature maps of the photos that are under way."""
        return FeatureStore(self.members, self.preprocessing, self.device)

    @property
    def network_names(self) -> Sequence[str]:
        """Names of the networks, in their order."""
        return tuple(f"member {number}" for number in range(1, len(self.members) + 1))

    @property
    def shared_scorer(self) -> "SharedRegionScorer":
        """The scorer itself, whose feature maps MultiBox reads."""
        return self

    def describe(self) -> str:
        """Returns one phrase that describes the networks, for the screen."""
        number = len(self.members)
        networks = "1 network" if number == 1 else f"{number} networks, whose probabilities are averaged"
        return f"{networks}, feature maps computed once for each photo"

    def prepare(self) -> None:
        """Begins to make the networks ready in another thread; see `RegionScorer`."""
        for member in self.members:
            member.backend.prepare_shared_features()

    @torch.inference_mode()
    def __call__(self, image: Image, boxes: np.ndarray) -> ScoredRegions:
        """Classifies the regions of one photo; see `RegionScorer`."""
        # MultiBox may have asked for the photo's feature maps already
        features, watch = self.store.take(image), Stopwatch()
        by_network = np.zeros((len(self.members), len(boxes), self._num_classes), np.float32)
        moved = boxes.copy()
        # box deltas lead neighbours to the same object, so that one of them is enough for the first round
        rows = nms(boxes, self.region_iou)
        for number in range(1, self.rounds + 1):
            outputs = self._classify(features, moved[rows], watch)
            # the mean over the rounds: probabilities of where a region was and of where it has moved
            by_network[:, rows] += (outputs.probabilities - by_network[:, rows]) / number
            if outputs.box_deltas is None:
                break
            # out of numbers that are none, boxes are made that look sound
            require_finite(outputs.box_deltas)
            moved[rows] = apply_box_deltas(moved[rows], outputs.box_deltas, image.width, image.height)
            best = by_network[:, rows].mean(axis=0).max(axis=1, initial=0)
            rows = rows[best >= self.round_min_probability]
        require_finite(moved, by_network)
        scores = RegionScores(moved, by_network.mean(axis=0), by_network)
        return ScoredRegions(scores, features.watch.seconds | watch.seconds)

    @property
    def _num_classes(self) -> int:
        return self.members[0].network.num_classes - 1

    def _classify(self, features: PhotoFeatures, boxes: np.ndarray, watch: Stopwatch) -> MemberOutputs:
        """Asks all networks about regions of one photo.

        Args:
            features: the photo's feature maps.
            boxes: [R, 4] float32, xyxy pixels of the original photo.
            watch: takes the seconds of the networks ("scores").
        """
        probabilities = np.zeros((len(self.members), len(boxes), self._num_classes), np.float32)
        box_deltas = np.zeros((len(self.members), len(boxes), 4), np.float32)
        levels = choose_levels(boxes, features.image, self.preprocessing, self.photo_sides)
        photo_sides = np.array(self.photo_sides)[levels]
        # regions of one size follow each other, so that nearly every batch is pooled from one set of feature maps
        order = np.argsort(photo_sides, kind="stable")
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            for number, member in enumerate(self.members):
                pooled = features.pool(number, boxes[rows], photo_sides[rows])
                with watch.stage("scores"):
                    found, deltas = split_outputs(member.backend.region_head(pooled), member.network)
                    # the copy waits for the device; the last column is background
                    probabilities[number, rows] = found[:, :-1].cpu().numpy()
                    if deltas is not None:
                        box_deltas[number, rows] = deltas.cpu().numpy()
        has_regressor = [member.network.box_regressor is not None for member in self.members]
        return MemberOutputs(probabilities, box_deltas[has_regressor].mean(axis=0) if any(has_regressor) else None)
