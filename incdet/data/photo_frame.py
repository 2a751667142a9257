"""Annotations in pixels of their photos: scaled or turned with them, and refused where they belong to other photos."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from incdet.detections import Detections
from incdet.errors import ImageError
from incdet.images import exif_orientation, read_image, read_size
from incdet.structures import GroundTruth, Image

MAX_ROUNDING = 1.0
"""Largest number of pixels by which the sides of a scaled photo are rounded."""

_TURNS = {
    5: ("y", "x"),
    6: ("-y", "x"),
    7: ("-y", "-x"),
    8: ("y", "-x"),
}
"""EXIF orientation that exchanges the sides -> the stored coordinates that become x and y of the upright photo."""


def read_photo_size(path: Path) -> tuple[int, int]:
    """Returns width and height of a photo's file, upright, in pixels.

    Raises:
        ImageError: The file is missing or not an image, in the words in which detection says so.
    """
    try:
        return read_size(path)
    except ImageError:
        # reading all of it tells more exactly what is wrong
        read_image(path)
        raise


def fit_to_photo(truth: GroundTruth, width: int, height: int, path: Path) -> GroundTruth:
    """Returns an annotation in pixels of its upright photo.

    Some annotations state the size at which the photo was stored before its EXIF orientation turned it; their boxes are
    turned with it. Others state another scale.

    Args:
        truth: The annotation.
        width: Width of the upright photo in pixels.
        height: Height of the upright photo in pixels.
        path: File of the photo.

    Raises:
        ImageError: The annotation states a size of another shape, so that it belongs to another photo.
    """
    turned = _stored_orientation(truth, width, height, path)
    if turned is None:
        return truth.rescaled(width, height)
    upright = replace(
        truth, width=truth.height, height=truth.width, boxes=_turn(truth.boxes, turned, truth.width, truth.height)
    )
    return upright.rescaled(width, height)


def fit_to_annotation(found: Detections, truth: GroundTruth, path: Path) -> Detections:
    """Returns detections in an upright photo in pixels of its annotation, the inverse of `fit_to_photo`.

    Raises:
        ImageError: The annotation states a size of another shape.
    """
    turned = _stored_orientation(truth, found.width, found.height, path)
    if turned is None:
        return found.rescaled(truth.width, truth.height)
    # turning back is turning by the orientation that undoes it: 6 and 8 undo each other
    back = {6: 8, 8: 6}.get(turned, turned)
    boxes = _turn(found.boxes, back, found.width, found.height)
    stored = replace(found, width=found.height, height=found.width, boxes=boxes)
    return stored.rescaled(truth.width, truth.height)


def turn_to_annotation(image: Image, truth: GroundTruth, path: Path) -> np.ndarray:
    """Returns the pixels [H, W, 3] of an upright photo, turned as its annotation sees it; the scale stays the photo's.

    Raises:
        ImageError: The annotation states a size of another shape.
    """
    turned = _stored_orientation(truth, image.width, image.height, path)
    if turned is None:
        return image.pixels
    # the inverse of turning upright: a quarter turn back, or a reflection, which is its own inverse
    quarter_turns = {5: 0, 6: 1, 7: 2, 8: -1}[turned]
    pixels = np.rot90(image.pixels, quarter_turns)
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if turned in (5, 7) else pixels)


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes may be those of one photo at two scales; a size of 0 is not stated and fits any.

    >>> same_shape((500, 375), (250, 188)), same_shape((500, 375), (375, 500))
    (True, False)
    """
    if min(*size, *other) < 1:
        return True
    (width, height), (other_width, other_height) = size, other
    # the smaller photo's sides are rounded, each by a pixel at most
    scale = max(width, height) / max(other_width, other_height)
    tolerance = MAX_ROUNDING * max(scale, 1.0)
    return abs(width - other_width * scale) <= 2 * tolerance and abs(height - other_height * scale) <= 2 * tolerance


def _stored_orientation(truth: GroundTruth, width: int, height: int, path: Path) -> int | None:
    """Returns the EXIF orientation by which boxes must be turned; None where the annotation is of the upright photo.

    Raises:
        ImageError: The stated size has another shape than the photo, turned or not.
    """
    stated = (truth.width, truth.height)
    if same_shape(stated, (width, height)):
        return None
    orientation = exif_orientation(path) if same_shape(stated, (height, width)) else 1
    if orientation in _TURNS:
        return orientation
    raise ImageError(
        f"the annotation of {path} states {truth.width}x{truth.height} pixels, but the photo has {width}x{height}: it "
        "belongs to another photo, or to another version of this one; correct one of them"
    )


def _turn(boxes: np.ndarray, orientation: int, width: int, height: int) -> np.ndarray:
    """Returns boxes [N, 4] of a photo as stored, at this size, in the upright photo."""
    low = {"x": boxes[:, 0], "y": boxes[:, 1], "-x": width - boxes[:, 2], "-y": height - boxes[:, 3]}
    high = {"x": boxes[:, 2], "y": boxes[:, 3], "-x": width - boxes[:, 0], "-y": height - boxes[:, 1]}
    x, y = _TURNS[orientation]
    return np.stack([low[x], low[y], high[x], high[y]], axis=1).astype(np.float32)
