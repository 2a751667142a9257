"""The feature maps of one photo at one or several sizes, and regions pooled from those that suit them (SPP-net)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from incdet.networks.ensemble import Member
from incdet.networks.weights_record import Preprocessing
from incdet.ops.photo_scaling import ideal_photo_sides, resize_photo, scaled_size
from incdet.ops.region_pooling import pool_regions, regions_in_cells
from incdet.runtime.stopwatch import Stopwatch
from incdet.structures import Image


@dataclass(frozen=True, eq=False)
class _Level:
    """The photo at one size.

    Attributes:
        scale: [2] float32, factors by which the photo was resized along x and y.
        feature_maps: those of each network, [1, 832, h, w].
    """

    scale: np.ndarray
    feature_maps: list[Tensor]


class PhotoFeatures:
    """Feature maps of one photo, computed when the first region asks for them.

    Args:
        image: the photo.
        members: the networks that compute the feature maps.
        preprocessing: colours, crop size and region size, shared by all networks.
        photo_sides: lengths of the photo's shorter side, in pixels; each is a level.
        device: the device that computes.
        watch: takes the seconds of the feature maps ("features") and of pooling ("regions").
    """

    def __init__(
        self,
        image: Image,
        members: Sequence[Member],
        preprocessing: Preprocessing,
        photo_sides: Sequence[int],
        device: torch.device,
        watch: Stopwatch,
    ) -> None:
        self.image, self.members, self.preprocessing, self.photo_sides = image, members, preprocessing, photo_sides
        self.device, self.watch = device, watch
        self._levels: dict[int, _Level] = {}

    def levels_of(self, boxes: np.ndarray) -> np.ndarray:
        """Returns the level of each region, [R] int64; see `choose_levels`."""
        return choose_levels(boxes, self.image, self.preprocessing, self.photo_sides)

    def pool(self, member: int, boxes: np.ndarray, levels: np.ndarray) -> Tensor:
        """Pools regions for one of the networks.

        Args:
            member: number of the network, from 0.
            boxes: [R, 4] float32, xyxy pixels of the original photo.
            levels: [R] int64, the level of each region, ascending.

        Returns:
            [R, 832, 7, 7] in the precision of the backend.
        """
        parts = []
        for number in np.unique(levels):
            level = self._level(int(number))
            with self.watch.stage("regions"):
                context, size = self.members[member].context, self.preprocessing.size
                cells = regions_in_cells(boxes[levels == number], level.scale, context, size)
                parts.append(pool_regions(level.feature_maps[member], torch.from_numpy(cells).to(self.device)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _level(self, number: int) -> _Level:
        if number not in self._levels:
            with self.watch.stage("features"):
                photo, scale = photo_input(self.image, self.preprocessing, self.photo_sides[number])
                photo = photo.to(self.device)
                feature_maps = [member.backend.photo_features(photo) for member in self.members]
                self._levels[number] = _Level(scale, feature_maps)
        return self._levels[number]


def choose_levels(
    boxes: np.ndarray, image: Image, preprocessing: Preprocessing, photo_sides: Sequence[int]
) -> np.ndarray:
    """Chooses the photo side at which each region comes nearest to the size that a network knows.

    Args:
        boxes: [R, 4] float32, xyxy pixels of the photo.
        image: the photo.
        preprocessing: the region size that the network knows, and the context.
        photo_sides: lengths to which the photo's shorter side is resized, in pixels.

    Returns:
        [R] int64, index of the photo side.
    """
    ideal = ideal_photo_sides(boxes, image.width, image.height, preprocessing.region_side, preprocessing.enlargement)
    ratios = np.log(np.array(photo_sides)[None, :] / ideal[:, None])
    return np.abs(ratios).argmin(axis=1)


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
