"""Tar shards in WebDataset's layout, read in place: `key.jpg` beside `key.cls`, thousands of pairs per file.

Few large files suit network disks and object stores better than millions of small ones. WebDataset streams them. Here
an index holds the place of each photo, so that any process can read any photo: the order of a training does not depend
on the number of processes and workers, and a resumed training goes on where it stopped. The standard library's
`tarfile` finds the photos; only their class ids are read when the shards are opened.
"""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from incdet.data.tar_members import add_image, read_member, reading_shard, shard_members
from incdet.errors import DataError, ImageError, reason
from incdet.images import SUFFIXES, read_image
from incdet.structures import Image

SHUFFLED_TOGETHER = 16
"""Number of shards whose photos are mixed, which is the number of files read at a time."""


_MAX_LABEL_BYTES = 1024


class _Place(NamedTuple):
    """The place of a photo's bytes: number of the shard, first byte, number of bytes."""

    shard: int
    start: int
    size: int


@dataclass(frozen=True)
class _Pair:
    """The photo and the class that a shard holds under one key."""

    image: tarfile.TarInfo | None = None
    label: tarfile.TarInfo | None = None


class ShardPhotos:
    """A `PhotoSource` of the tar files in a folder.

    Args:
        folder: Folder of `*.tar` files. Photos are numbered in the alphabetical order of the files.
        class_names: The C classes; a `.cls` holds an index into them, or a name.

    Raises:
        DataError: The folder has no shards, a shard is damaged, or a photo has no class or an unknown one.
    """

    def __init__(self, folder: Path, class_names: tuple[str, ...]):
        self.class_names = class_names
        self._shards = sorted(folder.glob("*.tar"))
        if not self._shards:
            raise DataError(f"the folder {folder} holds no shards; expected files ending in .tar")
        ids = {name: index for index, name in enumerate(class_names)} | {str(i): i for i in range(len(class_names))}
        places, keys, class_ids = [], [], []
        for shard, file in enumerate(self._shards):
            for key, place, label in _read_index(file, shard):
                if label not in ids:
                    raise DataError(f"{file}: the class of {key} is '{label}'; known are {len(class_names)} classes")
                places.append(place)
                keys.append(key.encode(errors="surrogateescape"))
                class_ids.append(ids[label])
        # worker processes share arrays; a million Python objects would soon be copied into each of them
        self._places, self._keys = np.array(places, np.int64).reshape(-1, 3), np.array(keys)
        self.class_ids = np.array(class_ids, np.int64)
        self.groups = np.arange(len(class_ids))

    def name(self, index: int) -> str:
        """Returns the shard and the key of a photo, for messages."""
        key = bytes(self._keys[index]).decode(errors="replace")
        return f"{self._shards[self._places[index][0]]}: {key}"

    def read(self, index: int) -> Image:
        """Reads one photo.

        Raises:
            ImageError: The shard or the photo cannot be read.
        """
        place = _Place(*self._places[index].tolist())
        try:
            with self._shards[place.shard].open("rb") as stream:
                stream.seek(place.start)
                content = stream.read(place.size)
            return Image(read_image(content).pixels, self.name(index))
        except (ImageError, OSError) as error:
            raise ImageError(f"cannot read {self.name(index)}: {reason(error)}") from None

    def order(self, generator: np.random.Generator) -> np.ndarray:
        """Returns all indices in a random order that reads few shards at a time.

        The shards come in random order, and the photos of `SHUFFLED_TOGETHER` successive shards are mixed.
        """
        rank = generator.permutation(len(self._shards))
        # photos are sorted by window, within a window at random
        window = rank[self._places[:, 0]] // SHUFFLED_TOGETHER
        return np.lexsort((generator.random(len(window)), window))


def _read_index(file: Path, shard: int) -> list[tuple[str, _Place, str]]:
    """Returns key, place and class of every photo of a shard, in its order."""
    pairs: dict[str, _Pair] = {}
    images: dict[str, tarfile.TarInfo] = {}
    with reading_shard(str(file)), tarfile.open(file, "r:") as archive:
        for key, suffix, member in shard_members(archive, str(file)):
            pair = pairs.get(key, _Pair())
            if f".{suffix.lower()}" in SUFFIXES:
                add_image(images, key, member, str(file))
                pairs[key] = _Pair(member, pair.label)
            elif suffix == "cls":
                pairs[key] = _Pair(pair.image, member)
        found = []
        for key, pair in pairs.items():
            if pair.image is None or pair.label is None:
                missing = "class (.cls)" if pair.label is None else "photo"
                raise DataError(f"{file}: {key} has no {missing}; expected pairs of {key}.jpg and {key}.cls")
            place = _Place(shard, pair.image.offset_data, pair.image.size)
            # a class is a number or a name, however large its file claims to be
            label = read_member(archive, pair.label, _MAX_LABEL_BYTES).decode("utf-8-sig", errors="replace")
            found.append((key, place, label.strip()))
    return found
