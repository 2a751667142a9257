"""Pictures as files."""

from pathlib import Path

import numpy as np
import PIL.Image

from incdet.runtime.files import atomic_file

_MAX_JPEG_SIDE = 65_500
"""Longest side that JPEG can hold, in pixels."""


def save_picture(file: Path, pixels: np.ndarray) -> None:
    """Writes a picture atomically: as PNG where the name ends in .png, otherwise as JPEG.

    A picture that JPEG cannot hold is shrunk.

    Args:
        file: The file.
        pixels: [H, W, 3] uint8, RGB.

    Raises:
        OutputError: The folder cannot be written to.
    """
    picture = PIL.Image.fromarray(pixels)
    if file.suffix.lower() == ".png":
        with atomic_file(file) as stream:
            picture.save(stream, "PNG")
        return
    # thumbnail never enlarges
    picture.thumbnail((_MAX_JPEG_SIDE, _MAX_JPEG_SIDE))
    with atomic_file(file) as stream:
        picture.save(stream, "JPEG", quality=92)
