"""The photos of a part as a worker reads them: from paths, from addresses, and one after the other from a tar shard."""

import re
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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


def read_photos(
    entries: Sequence[Listed], begin: Callable[[int], None] | None = None, left_out: Collection[int] = ()
) -> Iterator[NamedPhoto]:
    """Yields the photos of a part in their order, each with its content or what is wrong with it.

    Args:
        entries: The photos, or the one shard.
        begin: Function that is called with the position of a photo right before it is fetched, which is then only done
            when it is asked for: a process that dies while fetching dies of that photo. None fetches photos ahead.
        left_out: Positions of photos that are not fetched; they come with an error.
    """
    if isinstance(entries[0], ListedShard):
        yield from _photos_in_shard(entries[0], begin or _nothing, left_out)
        return
    photos = cast(Sequence[ListedPhoto], entries)
    has_addresses = any(is_address(photo.place) for photo in photos)

    def fetch(position: int) -> NamedPhoto:
        photo = photos[position]
        if position in left_out:
            return _not_fetched(photo.name)
        if begin is not None:
            begin(position)
        return _fetch(photo)

    yield from map_in_threads(fetch, range(len(photos)), READING_THREADS if has_addresses and begin is None else 0)


def _nothing(_position: int) -> None:
    """Takes no notice of the photos that are fetched."""


def _not_fetched(name: str) -> NamedPhoto:
    return NamedPhoto(name, ImageError(f"cannot read {name}: it is left out; try it alone"))


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


def _photos_in_shard(
    shard: ListedShard, begin: Callable[[int], None], left_out: Collection[int]
) -> Iterator[NamedPhoto]:
    """Yields the photos of a tar file. A shard that is damaged ends with one entry that says so."""
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(open_file(shard.place))
            # read from the beginning to the end, as it comes over the network
            archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|*"))
            for position, member in enumerate(_photo_members(archive)):
                name = f"{shard.name}/{member.name.removeprefix('./')}"
                if position in left_out:
                    yield _not_fetched(name)
                    continue
                begin(position)
                extracted = archive.extractfile(member)
                # ordinary files are all that `_photo_members` yields
                assert extracted is not None
                yield NamedPhoto(name, extracted.read())
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
