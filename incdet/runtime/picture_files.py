"""Pictures as files."""

import io
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
        _write(file, picture, "PNG")
        return
    # thumbnail never enlarges
    picture.thumbnail((_MAX_JPEG_SIDE, _MAX_JPEG_SIDE))
    _write(file, picture, "JPEG", quality=92)


def _write(file: Path, picture: PIL.Image.Image, form: str, **options: int) -> None:
    # encoded in memory: Pillow does not notice that a disk is full
    encoded = io.BytesIO()
    picture.save(encoded, form, **options)
    with atomic_file(file) as stream:
        stream.write(encoded.getvalue())
