"""Feature maps of whole photos at one size, and what computes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from incdet.networks.weights_record import Preprocessing
from incdet.ops.photo_scaling import resize_photo, scaled_size
from incdet.structures import Image


@dataclass(frozen=True, eq=False)
class PhotoLevel:
    """A photo at one size.

    Attributes:
        scale: [2] float32, factors by which the photo was resized along x and y.
        feature_maps: [1, 832, h, w], those of one network.
    """

    scale: np.ndarray
    feature_maps: Tensor


class PhotoLevels(Protocol):
    """Computes feature maps of photos by one network, or has them already."""

    @property
    def signature(self) -> tuple[float, ...]:
        """The signature of the network's stages 1 to 4."""

    def __call__(self, image: Image, photo_sides: Sequence[int]) -> list[PhotoLevel]:
        """Computes the feature maps of a photo.

        Args:
            image: the photo.
            photo_sides: lengths of the photo's shorter side, in pixels; each is a level.
        """

    def shared_seconds(self, image: Image) -> float:
        """Returns the time that feature maps of a photo have taken so far which its regions need, too."""


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
