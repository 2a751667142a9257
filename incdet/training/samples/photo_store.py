"""Decoded photos in memory, so that a small data set is decoded once and not at every step."""

from collections.abc import Sequence
from pathlib import Path

from incdet.config.sections import ImagesConfig
from incdet.images import read_image
from incdet.structures import Image


class PhotoStore:
    """Photos by index, kept decoded up to a limit of memory; photos beyond it are read from disk every time.

    Args:
        paths: the files.
        gigabytes: largest size of the pixels that are kept.
    """

    def __init__(self, paths: Sequence[Path], gigabytes: float):
        self._paths = paths
        self._free_bytes = gigabytes * 1e9
        self._kept: dict[int, Image] = {}

    def __call__(self, index: int) -> Image:
        """Returns the photo with this index.

        Raises:
            ImageError: the photo cannot be read.
        """
        if index in self._kept:
            return self._kept[index]
        image = read_image(self._paths[index], ImagesConfig())
        # a later, smaller photo may still find room where this one does not
        if image.pixels.nbytes <= self._free_bytes:
            self._free_bytes -= image.pixels.nbytes
            self._kept[index] = image
        return image
