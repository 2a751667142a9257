"""Drawing of proposals into photos, and saving of pictures."""

from pathlib import Path

import numpy as np
import PIL.Image

from incdet.ops.drawing import draw_boxes_by_rank
from incdet.runtime.files import atomic_file
from incdet.structures import Image, Proposals

_MAX_SHOWN = 100
_MAX_JPEG_SIDE = 65_500
"""Longest side that JPEG can hold, in pixels."""


def draw_proposals(image: Image, proposals: Proposals, max_shown: int = _MAX_SHOWN) -> np.ndarray:
    """Returns the photo [H, W, 3] uint8 RGB with the boxes of the best proposals, from yellow (best) to blue.

    Args:
        image: The photo.
        proposals: Its proposals, best first.
        max_shown: Number of proposals that are drawn, default 100.
    """
    return draw_boxes_by_rank(image.pixels, proposals.boxes[:max_shown])


def save_picture(file: Path, pixels: np.ndarray) -> None:
    """Writes a picture as JPEG, atomically; one that JPEG cannot hold is shrunk.

    Args:
        file: The file.
        pixels: [H, W, 3] uint8, RGB.

    Raises:
        OutputError: The folder cannot be written to.
    """
    picture = PIL.Image.fromarray(pixels)
    # thumbnail never enlarges
    picture.thumbnail((_MAX_JPEG_SIDE, _MAX_JPEG_SIDE))
    with atomic_file(file) as stream:
        picture.save(stream, "JPEG", quality=92)
