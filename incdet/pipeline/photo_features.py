"""The feature maps of one photo at one or several sizes, and regions pooled from those that suit them (SPP-net)."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from incdet.networks.ensemble import Member
from incdet.networks.photo_levels import PhotoLevel, photo_input
from incdet.networks.stage_signature import stage_signature
from incdet.networks.weights_record import Preprocessing
from incdet.ops.photo_scaling import ideal_photo_sides
from incdet.ops.region_pooling import pool_regions, regions_in_cells
from incdet.runtime.stopwatch import Stopwatch
from incdet.structures import Image


class PhotoFeatures:
    """Feature maps of one photo, computed when somebody first asks for them.

    Args:
        image: the photo.
        members: the networks that compute the feature maps.
        preprocessing: colours, crop size and region size, shared by all networks.
        device: the device that computes.

    Attributes:
        watch: the seconds of the feature maps ("features") and of pooling ("regions").
    """

    def __init__(
        self, image: Image, members: Sequence[Member], preprocessing: Preprocessing, device: torch.device
    ) -> None:
        # another value with the same pixels: `FeatureStore` keeps this object only as long as somebody has the photo
        self.image = replace(image)
        self.members, self.preprocessing, self.device = members, preprocessing, device
        self.watch = Stopwatch()
        self._levels: dict[int, list[PhotoLevel]] = {}

    def pool(self, member: int, boxes: np.ndarray, photo_sides: np.ndarray) -> Tensor:
        """Pools regions for one of the networks.

        Args:
            member: number of the network, from 0.
            boxes: [R, 4] float32, xyxy pixels of the original photo.
            photo_sides: [R] int64, length of the photo's shorter side at which each region is pooled, ascending.

        Returns:
            [R, 832, 7, 7] in the precision of the backend.
        """
        parts = []
        for photo_side in np.unique(photo_sides).tolist():
            level = self.level(member, photo_side)
            with self.watch.stage("regions"):
                context, size = self.members[member].context, self.preprocessing.size
                cells = regions_in_cells(boxes[photo_sides == photo_side], level.scale, context, size)
                parts.append(pool_regions(level.feature_maps, torch.from_numpy(cells).to(self.device)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def level(self, member: int, photo_side: int) -> PhotoLevel:
        """Returns the feature maps that one of the networks computes of the photo at one size.

        Args:
            member: number of the network, from 0.
            photo_side: length of the photo's shorter side, in pixels.
        """
        if photo_side not in self._levels:
            with self.watch.stage("features"):
                photo, scale = photo_input(self.image, self.preprocessing, photo_side)
                photo = photo.to(self.device)
                levels = [PhotoLevel(scale, network.backend.photo_features(photo)) for network in self.members]
                self._levels[photo_side] = levels
        return self._levels[photo_side][member]


@dataclass(eq=False)
class FeatureStore:
    """The feature maps of the photos that are under way, so that proposals and regions come from the same ones.

    A photo's feature maps stay until its regions have been classified, and no longer than the photo itself.

    Attributes:
        members: the networks that compute the feature maps.
        preprocessing: colours, crop size and region size, shared by all networks.
        device: the device that computes.
    """

    members: Sequence[Member]
    preprocessing: Preprocessing
    device: torch.device

    def __post_init__(self) -> None:
        self._photos: WeakKeyDictionary[Image, PhotoFeatures] = WeakKeyDictionary()
        # several threads may use one detector
        self._lock = threading.Lock()

    @cached_property
    def signature(self) -> tuple[float, ...]:
        """The signature of the first network's stages 1 to 4."""
        return stage_signature(self.members[0].network)

    @torch.inference_mode()
    def __call__(self, image: Image, photo_sides: Sequence[int]) -> list[PhotoLevel]:
        """Computes the feature maps of the first network, and keeps them; see `PhotoLevels`."""
        features = self.of(image)
        return [features.level(0, photo_side) for photo_side in photo_sides]

    def of(self, image: Image) -> PhotoFeatures:
        """Returns the features of a photo, which are kept for the next one who asks."""
        with self._lock:
            if image not in self._photos:
                self._photos[image] = PhotoFeatures(image, self.members, self.preprocessing, self.device)
            return self._photos[image]

    def take(self, image: Image) -> PhotoFeatures:
        """Returns the features of a photo, for the last time."""
        features = self.of(image)
        with self._lock:
            self._photos.pop(image, None)
        return features

    def shared_seconds(self, image: Image) -> float:
        """Returns the time that the feature maps of a photo have taken so far; see `PhotoLevels`."""
        with self._lock:
            features = self._photos.get(image)
        return 0.0 if features is None else features.watch.seconds.get("features", 0.0)


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
