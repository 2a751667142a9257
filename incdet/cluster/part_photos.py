"""The photos of a part as a worker reads them: from paths, from addresses, and one after the other from a tar shard."""

import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from incdet.cluster.photo_inputs import IN_SHARD, Listed, ListedPhoto, ListedShard
from incdet.errors import ImageError, IncdetError, reason
from incdet.images import SUFFIXES
from incdet.runtime.addresses import is_address, open_file, read_part
from incdet.runtime.thread_queue import map_in_threads

READING_THREADS = 4
"""Number of photos that are fetched from addresses at a time, because each takes its time to begin."""

_INSIDE = re.compile(rf"{IN_SHARD}(\d+)\+(\d+):(.*)", re.DOTALL)


@dataclass(frozen=True)
class NamedPhoto:
    """A photo that is about to be worked on.

    Attributes:
        name: Name in the results.
        content: Absolute path, encoded bytes, or the error that fetching it ended with.
    """

    name: str
    content: str | bytes | ImageError


def read_photos(entries: Sequence[Listed]) -> Iterator[NamedPhoto]:
    """Yields the photos of a part in their order, each with its content or what is wrong with it."""
    if isinstance(entries[0], ListedShard):
        yield from _photos_in_shard(entries[0])
        return
    photos = cast(Sequence[ListedPhoto], entries)
    has_addresses = any(is_address(photo.place) for photo in photos)
    yield from map_in_threads(_fetch, photos, READING_THREADS if has_addresses else 0)


def _fetch(photo: ListedPhoto) -> NamedPhoto:
    """Reads a photo at an address or inside a shard. A file of its own is left to whoever decodes it."""
    inside = _INSIDE.fullmatch(photo.place)
    if inside is None and not is_address(photo.place):
        return NamedPhoto(photo.name, photo.place)
    try:
        if inside is None:
            return NamedPhoto(photo.name, read_part(photo.place))
        return NamedPhoto(photo.name, read_part(inside[3], int(inside[1]), int(inside[2])))
    except Exception as error:  # drivers have errors of their own
        found = f"cannot read {photo.name}: {reason(error)}; check the place and your access to it"
        return NamedPhoto(photo.name, ImageError(found))


def _photos_in_shard(shard: ListedShard) -> Iterator[NamedPhoto]:
    """Yields the photos of a tar file. A shard that is damaged ends with one entry that says so."""
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(open_file(shard.place))
            # read from the beginning to the end, as it comes over the network
            archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|*"))
            for member in _photo_members(archive):
                extracted = archive.extractfile(member)
                if extracted is not None:
                    yield NamedPhoto(f"{shard.name}/{member.name.removeprefix('./')}", extracted.read())
    except IncdetError as error:
        yield NamedPhoto(shard.name, ImageError(str(error)))
    except Exception as error:  # a damaged archive or a driver can fail anywhere
        found = f"cannot read the shard {shard.name} to its end: {reason(error)}; get a whole copy"
        yield NamedPhoto(shard.name, ImageError(found))


def _photo_members(archive: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    last = -1
    for member in archive:
        # a negative size leads back to where the reading came from, again and again
        if member.size < 0 or archive.offset <= last:
            raise ImageError(f"a size in the shard is impossible ({member.name!r}); get a whole copy")
        last = archive.offset
        name = member.name.rpartition("/")[2]
        if member.isfile() and not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
            yield member
