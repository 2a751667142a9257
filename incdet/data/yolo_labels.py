"""The text files of YOLO's layout: one object a line, with numbers that are normalised to [0, 1]."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from incdet.errors import DataError
from incdet.runtime.text_files import read_text

_TOLERANCE = 1.0
"""Share of a photo's side by which a number may lie outside [0, 1]. One that lies farther outside is no share."""


class Labels(NamedTuple):
    """The objects of one photo.

    Attributes:
        boxes: [N, 4] float32, xyxy pixels, which may reach beyond the photo.
        class_ids: [N] int64.
        num_impossible: Number of further objects whose boxes are impossible, because their numbers are negative sizes
            or no numbers at all.
    """

    boxes: np.ndarray
    class_ids: np.ndarray
    num_impossible: int


def read_labels(file: Path | None, class_names: Sequence[str], width: int, height: int) -> Labels:
    """Reads the objects of one photo.

    A line is `class x_centre y_centre width height`, or `class x1 y1 x2 y2 x3 y3 ...`, a polygon, whose bounding box is
    taken.

    Args:
        file: The file; None is that of a photo without objects.
        class_names: The C classes; a class in the file is a number from 0 to C - 1.
        width: Width of the upright photo, in pixels.
        height: Height of the upright photo, in pixels.

    Raises:
        DataError: The file cannot be read, or a line is malformed; the message names file and line.
    """
    boxes, class_ids = [], []
    num_impossible = 0
    text = "" if file is None else read_text(file, "the labels", "check the file")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        place = f"{file}, line {number}"
        class_id = _class_id(words[0], len(class_names), place)
        box = _box([_share(word, place) for word in words[1:]], place)
        if box is None:
            num_impossible += 1
            continue
        boxes.append(box)
        class_ids.append(class_id)
    # [N, 4] xyxy, normalised to [0, 1] -> pixels
    pixels = np.array(boxes, np.float64).reshape(-1, 4) * np.array([width, height, width, height])
    return Labels(pixels.astype(np.float32), np.array(class_ids, np.int64), num_impossible)


def _class_id(word: str, num_classes: int, place: str) -> int:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    # some programs write 0.0 for the class 0; the comparison is false for NaN, too
    if not 0 <= value < num_classes or value != int(value):
        raise DataError(f"{place}: the class is {word!r}; expected a whole number from 0 to {num_classes - 1}")
    return int(value)


def _share(word: str, place: str) -> float:
    """Returns a number of a line; NaN and infinity are none of any place, but the line has its form."""
    try:
        value = float(word)
    except ValueError:
        value = 2 + _TOLERANCE
    if math.isfinite(value) and not -_TOLERANCE <= value <= 1 + _TOLERANCE:
        raise DataError(
            f"{place}: found {word!r}; expected numbers from 0 to 1, shares of the photo's width and height"
        )
    return value


def _box(numbers: list[float], place: str) -> tuple[float, float, float, float] | None:
    """Returns a box xyxy, normalised, of centre and size or of the corners of a polygon; None for an impossible box."""
    is_box, is_polygon = len(numbers) == 4, len(numbers) >= 6 and len(numbers) % 2 == 0
    if (is_box or is_polygon) and not all(map(math.isfinite, numbers)):
        return None
    if is_box:
        x, y, width, height = numbers
        if width < 0 or height < 0:
            return None
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if is_polygon:
        return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    raise DataError(
        f"{place}: found {len(numbers)} numbers behind the class; expected four (x_centre, y_centre, width, height) or "
        "the corners of a polygon"
    )
