"""The crops of a photo that MultiBox looks at, resized to its square; without torch, which takes seconds to load."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import PIL.Image

from incdet.structures import Image


class Part(NamedTuple):
    """A part of a photo, in pixels."""

    left: int
    top: int
    width: int
    height: int


def list_photo_crops(image: Image, sides: Sequence[float]) -> list[Part]:
    """The whole photo, and the parts of each size, row by row."""
    parts = [Part(0, 0, image.width, image.height)]
    for side in sides:
        width, height = (max(round(side * whole), 1) for whole in (image.width, image.height))
        # one more than the steps that leave neighbours a quarter in common
        number = math.ceil((1 - side) / (0.75 * side)) + 1
        for top in np.linspace(0, image.height - height, number).round().astype(int).tolist():
            for left in np.linspace(0, image.width - width, number).round().astype(int).tolist():
                parts.append(Part(left, top, width, height))
    return parts


@dataclass(frozen=True)
class PhotoCropper:
    """Squeezes a photo and parts of it into the network's square; takes no network, so any process can do it ahead.

    Attributes:
        size: of the square, in pixels.
        sides: of the parts, in shares of the photo's.
    """

    size: int
    sides: tuple[float, ...]

    def __call__(self, image: Image) -> np.ndarray:
        """The whole photo, then its parts row by row: [K, size, size, 3] uint8."""
        square = (self.size, self.size)
        photo_crops = []
        for part in list_photo_crops(image, self.sides):
            pixels = image.pixels[part.top : part.top + part.height, part.left : part.left + part.width]
            # Pillow's filter widens when it shrinks, so small objects do not fall between the samples
            small = PIL.Image.fromarray(pixels).resize(square, PIL.Image.Resampling.BILINEAR)
            photo_crops.append(np.asarray(small))
        return np.stack(photo_crops)
