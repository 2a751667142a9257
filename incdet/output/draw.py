"""Proposals drawn into photos, and pictures saved."""

from pathlib import Path

import numpy as np
import PIL.Image

from incdet.ops.drawing import draw_boxes_by_rank
from incdet.runtime.files import atomic_file
from incdet.structures import Image, Proposals

_SHOWN_PROPOSALS = 100
_LONGEST_JPEG_SIDE = 65_500


def draw_proposals(image: Image, proposals: Proposals, shown: int = _SHOWN_PROPOSALS) -> np.ndarray:
    """The photo [H, W, 3] uint8 RGB with the boxes of the best proposals, from yellow (best) to blue."""
    return draw_boxes_by_rank(image.pixels, proposals.boxes[:shown])


def save_picture(file: Path, pixels: np.ndarray) -> None:
    """Writes [H, W, 3] uint8 RGB as JPEG, atomically; a side beyond what JPEG can hold is shrunk to it.

    Raises:
        OutputError: the folder cannot be written to.
    """
    picture = PIL.Image.fromarray(pixels)
    picture.thumbnail((_LONGEST_JPEG_SIDE, _LONGEST_JPEG_SIDE))
    with atomic_file(file) as stream:
        picture.save(stream, "JPEG", quality=92)
