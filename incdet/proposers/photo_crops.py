"""The multi-scale crops of a photo that MultiBox sees, resized to its square (Szegedy et al. 2014, section 3).

The module does without torch, which takes seconds to load, because processes that only cut crops import it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import PIL.Image

from incdet.structures import Image

COMMON_SIDE = 0.25
"""Smallest fraction of its side that a crop has in common with the next one, so that an object that one crop cuts is
often whole in the other."""


class PhotoCrop(NamedTuple):
    """A rectangle of a photo, in whole pixels.

    Attributes:
        left: first column.
        top: first row.
        width: number of columns.
        height: number of rows.
    """

    left: int
    top: int
    width: int
    height: int


def list_photo_crops(image: Image, crop_sides: Sequence[float]) -> list[PhotoCrop]:
    """The whole photo, and then the crops of each scale, row by row.

    Args:
        image: the photo.
        crop_sides: sides of the crops of each scale, as fractions of the photo's sides, between 0 and 1.
    """
    crops = [PhotoCrop(0, 0, image.width, image.height)]
    for side in crop_sides:
        width, height = max(round(side * image.width), 1), max(round(side * image.height), 1)
        # a step from one crop to the next is at most 1 - COMMON_SIDE of a side; K steps make K + 1 crops along a side
        num_crops = math.ceil((1 - side) / ((1 - COMMON_SIDE) * side)) + 1
        for top in _spread(image.height - height, num_crops):
            for left in _spread(image.width - width, num_crops):
                crops.append(PhotoCrop(left, top, width, height))
    return crops


def _spread(last: int, count: int) -> list[int]:
    """Whole numbers at equal distances from 0 to the last one."""
    return np.linspace(0, last, count).round().astype(int).tolist()


@dataclass(frozen=True)
class PhotoCropper:
    """Cuts the crops of a photo and resizes them to the network's square; it holds no network, so any process can.

    Attributes:
        size: side S of the square, in pixels.
        crop_sides: sides of the crops of each scale, as fractions of the photo's sides.
    """

    size: int
    crop_sides: tuple[float, ...]

    def __call__(self, image: Image) -> np.ndarray:
        """The pixels of all crops, [K, S, S, 3] uint8, in the order of `list_photo_crops`."""
        resized = []
        for left, top, width, height in list_photo_crops(image, self.crop_sides):
            pixels = image.pixels[top : top + height, left : left + width]
            # MultiBox sees a square whatever the crop's shape. Pillow's filter widens where it shrinks, so that small
            # objects do not fall between the samples.
            square = PIL.Image.fromarray(pixels).resize((self.size, self.size), PIL.Image.Resampling.BILINEAR)
            resized.append(np.asarray(square))
        return np.stack(resized)
