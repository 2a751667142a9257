"""Regions classified out of the feature maps of the whole photo, which are computed once (SPP-net, Fast R-CNN).

Stages 1 to 4 of GoogLeNet run over the photo. Each region is pooled from their feature maps, and stage 5, the
classifier and the box regressor judge it. A photo of 512 pixels costs 11 G multiply-adds and a region 0.125 G; a crop
of each region costs 1.58 G.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from incdet.networks.ensemble import Member, split_outputs
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import apply_box_deltas
from incdet.ops.photo_scaling import resize_photo, scaled_size
from incdet.ops.region_pooling import pool_regions, regions_in_cells
from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import ScoredRegions
from incdet.structures import Image, RegionScores


class RegionAnswers(NamedTuple):
    """The outputs of one network for R regions.

    Attributes:
        probabilities: [R, C] float32, without background.
        box_deltas: [R, 4] float32 for `apply_box_deltas`; None where the network has no box regressor.
    """

    probabilities: np.ndarray
    box_deltas: np.ndarray | None


@dataclass(frozen=True, eq=False)
class SharedRegionScorer:
    """Pools regions from feature maps that all of them share; see `RegionScorer`.

    Attributes:
        members: the M networks, trained on shared features, whose probabilities and box deltas are averaged.
        preprocessing: mean, scale and crop size, shared by all networks.
        photo_side: length to which the shorter side of a photo is resized, in pixels.
        device: the device that computes.
        batch_size: largest number of regions that are classified at a time.
        rounds: number of times that promising regions are classified; from the second round on where box deltas have
            moved them.
        round_min_probability: lowest probability of any class with which a region takes part in another round.
    """

    members: Sequence[Member]
    preprocessing: Preprocessing
    photo_side: int
    device: torch.device
    batch_size: int
    rounds: int = 1
    round_min_probability: float = 0.05

    @property
    def network_names(self) -> Sequence[str]:
        """Names of the networks, in their order."""
        return tuple(f"member {number}" for number in range(1, len(self.members) + 1))

    def describe(self) -> str:
        """Returns one phrase that describes the networks, for the screen."""
        number = len(self.members)
        networks = "1 network" if number == 1 else f"{number} networks, whose probabilities are averaged"
        return f"{networks}, feature maps computed once for each photo"

    @torch.inference_mode()
    def __call__(self, image: Image, boxes: np.ndarray) -> ScoredRegions:
        """Classifies the regions of one photo; see `RegionScorer`."""
        watch = Stopwatch()
        with watch.stage("features"):
            photo, scale = photo_input(image, self.preprocessing, self.photo_side)
            photo = photo.to(self.device)
            feature_maps = [member.backend.photo_features(photo) for member in self.members]
        by_network = np.zeros((len(self.members), len(boxes), self._num_classes), np.float32)
        moved = boxes.copy()
        # all regions take part in the first round
        rows = np.arange(len(boxes))
        for number in range(1, self.rounds + 1):
            answers = [
                self._classify(member, maps, moved[rows], scale, watch)
                for member, maps in zip(self.members, feature_maps, strict=True)
            ]
            probabilities = np.stack([answer.probabilities for answer in answers])
            # the mean over the rounds: probabilities of where a region was and of where it has moved
            by_network[:, rows] += (probabilities - by_network[:, rows]) / number
            box_deltas = [answer.box_deltas for answer in answers if answer.box_deltas is not None]
            if not box_deltas:
                break
            mean_deltas = np.mean(box_deltas, axis=0)
            moved[rows] = apply_box_deltas(moved[rows], mean_deltas, image.width, image.height)
            rows = rows[by_network[:, rows].mean(axis=0).max(axis=1, initial=0) >= self.round_min_probability]
        scores = RegionScores(moved, by_network.mean(axis=0), by_network)
        return ScoredRegions(scores, watch.seconds)

    @property
    def _num_classes(self) -> int:
        return self.members[0].network.num_classes - 1

    def _classify(
        self, member: Member, feature_maps: Tensor, boxes: np.ndarray, scale: np.ndarray, watch: Stopwatch
    ) -> RegionAnswers:
        """Asks one network about regions of one photo.

        Args:
            member: the network.
            feature_maps: [1, 832, h, w], its feature maps of the photo.
            boxes: [R, 4] float32, xyxy pixels of the original photo.
            scale: [2] float32, factors by which the photo was resized along x and y.
            watch: takes the seconds of pooling ("regions") and of the network ("scores").
        """
        cells = regions_in_cells(boxes, scale, member.context, self.preprocessing.size)
        regions = torch.from_numpy(cells).to(self.device)
        probabilities = [np.zeros((0, self._num_classes), np.float32)]
        box_deltas = [np.zeros((0, 4), np.float32)]
        for batch in torch.split(regions, self.batch_size) if len(regions) else ():
            with watch.stage("regions"):
                pooled = pool_regions(feature_maps, batch)
            with watch.stage("scores"):
                found, deltas = split_outputs(member.backend.region_head(pooled), member.network)
                # the copy waits for the device; the last column is background
                probabilities.append(found[:, :-1].cpu().numpy())
                if deltas is not None:
                    box_deltas.append(deltas.cpu().numpy())
        has_regressor = member.network.box_regressor is not None
        return RegionAnswers(np.concatenate(probabilities), np.concatenate(box_deltas) if has_regressor else None)


def photo_input(image: Image, preprocessing: Preprocessing, photo_side: int) -> tuple[Tensor, np.ndarray]:
    """Resizes and normalises a whole photo for a network.

    Args:
        image: the photo.
        preprocessing: mean and scale of the colours.
        photo_side: length of the shorter side, in pixels.

    Returns:
        The network's input [1, 3, H, W] float32, channels last in memory, and the factors [2] float32 by which the
        photo was resized along x and y.
    """
    width, height = scaled_size(image.width, image.height, photo_side)
    pixels = resize_photo(image.pixels, width, height)
    scale = np.array([width / image.width, height / image.height], np.float32)
    return preprocessing.apply(torch.from_numpy(pixels)[None]), scale
