"""Values in memory up to a limit, so that a small data set is decoded once and not at every step."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from incdet.config.sections import ImagesConfig
from incdet.images import read_image
from incdet.structures import Image

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class MemoryStore(Generic[Key, Value]):
    """Values by their keys, kept up to a limit of memory; values beyond it are made again every time.

    Args:
        make: key -> value.
        num_bytes: value -> its size.
        gigabytes: largest size of all values that are kept.
    """

    def __init__(self, make: Callable[[Key], Value], num_bytes: Callable[[Value], int], gigabytes: float):
        self._make, self._num_bytes = make, num_bytes
        self._free_bytes = gigabytes * 1e9
        self._kept: dict[Key, Value] = {}

    def __call__(self, key: Key) -> Value:
        """Returns the value of this key, or raises what making it raises."""
        if key in self._kept:
            return self._kept[key]
        value = self._make(key)
        # a later, smaller value may still find room where this one does not
        if self._num_bytes(value) <= self._free_bytes:
            self._free_bytes -= self._num_bytes(value)
            self._kept[key] = value
        return value


class PhotoStore:
    """Photos by index, kept decoded up to a limit of memory; photos beyond it are read from disk every time.

    Args:
        paths: the files.
        gigabytes: largest size of the pixels that are kept.
    """

    def __init__(self, paths: Sequence[Path], gigabytes: float):
        self._paths = paths
        self._photos = MemoryStore(self._read, _num_bytes, gigabytes)

    def __call__(self, index: int) -> Image:
        """Returns the photo with this index.

        Raises:
            ImageError: the photo cannot be read.
        """
        return self._photos(index)

    def _read(self, index: int) -> Image:
        return read_image(self._paths[index], ImagesConfig())


def _num_bytes(image: Image) -> int:
    return image.pixels.nbytes
