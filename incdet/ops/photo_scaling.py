"""Resizes whole photos for networks that compute feature maps of them."""

import cv2
import numpy as np

from incdet.runtime.opencv_wheels import require_whole_opencv

require_whole_opencv(cv2)

SIDE_STEP = 32
"""Sides of resized photos are multiples of this many pixels, so that all photos have one of a few sizes, for each of
which an engine prepares itself once."""

MAX_ASPECT_RATIO = 1.8
"""Largest ratio of the sides up to which a photo gets the wanted shorter side; a longer one gets a longer side of this
many shorter sides, so that no photo costs more than twice as much as a square one."""

MIN_SIDE = 96
"""Smallest side of a resized photo, in pixels, so that a strip of few pixels has feature maps, too."""


def scaled_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Computes the size to which a photo is resized.

    Args:
        width: width of the photo, in pixels.
        height: height of the photo, in pixels.
        side: length that the shorter side should have, in pixels.

    Returns:
        Width and height in pixels, multiples of `SIDE_STEP`; the shape changes by their rounding.

    >>> scaled_size(500, 375, 512), scaled_size(375, 500, 512), scaled_size(4000, 10, 512)
    ((672, 512), (512, 672), (928, 96))
    """
    shorter, longer = sorted((width, height))
    scale = min(side / shorter, MAX_ASPECT_RATIO * side / longer)
    steps = (max(round(length * scale / SIDE_STEP), 1) for length in (width, height))
    new_width, new_height = (max(number * SIDE_STEP, MIN_SIDE) for number in steps)
    return new_width, new_height


def ideal_photo_sides(boxes: np.ndarray, width: int, height: int, region_side: float, enlargement: float) -> np.ndarray:
    """Computes the length of a photo's shorter side at which each region has the wanted size.

    Args:
        boxes: [R, 4], xyxy pixels of the original photo.
        width: width of the original photo, in pixels.
        height: height of the original photo, in pixels.
        region_side: wanted side of a region with its context, in pixels of the resized photo; the root of its area.
        enlargement: factor by which the context enlarges a region.

    Returns:
        [R] float64, in pixels.

    >>> ideal_photo_sides(np.array([[0, 0, 80, 20]]), 500, 400, 128, 1.25).tolist()
    [1024.0]
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(axis=1)
    # a box without surface would need an infinite photo
    own_sides = np.sqrt(np.maximum(areas, 1.0)) * enlargement
    return region_side * min(width, height) / own_sides


def resize_photo(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resizes a photo: means of areas where it shrinks much, as bilinear samples would skip pixels.

    Args:
        pixels: [H, W, 3] uint8.
        width: new width in pixels.
        height: new height in pixels.

    Returns:
        [height, width, 3] uint8.
    """
    shrinks = min(width / pixels.shape[1], height / pixels.shape[0]) <= 0.8
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
