"""The members of tar shards in WebDataset's layout, and the errors of damaged ones."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from incdet.errors import DataError, reason

META_PREFIX = "__"
"""Beginning of the names of members that WebDataset passes over, because they describe the shard."""


class ShardMember(NamedTuple):
    """An ordinary file of a shard.

    Attributes:
        key: Path up to the first dot of the file's name, which the files of one sample share.
        suffix: Rest of the name, without the dot.
        info: Place and size.
    """

    key: str
    suffix: str
    info: tarfile.TarInfo


def shard_members(archive: tarfile.TarFile, place: str) -> Iterator[ShardMember]:
    """Yields the files of a shard in their order.

    Args:
        archive: The shard.
        place: Its path or address, for messages.

    Raises:
        DataError: A member has an impossible size or holes.
    """
    last = -1
    for info in archive:
        # a negative size leads back to where the reading came from, again and again
        if info.size < 0 or archive.offset <= last:
            raise DataError(f"{place}: {info.name!r} has an impossible size; the shard is damaged")
        if info.issparse():
            raise DataError(f"{place}: {info.name!r} is a sparse file; write the shard without holes")
        last = archive.offset
        # WebDataset's key is the path up to the first dot of the file's name
        folder, _, name = info.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        # hidden files, such as those that macOS adds, belong to no key
        if info.isfile() and stem:
            yield ShardMember(f"{folder}/{stem}".lstrip("/"), suffix, info)


def add_image(images: dict[str, tarfile.TarInfo], key: str, member: tarfile.TarInfo, place: str) -> None:
    """Adds the photo of a key to those of a shard.

    Raises:
        DataError: The key has a photo already.
    """
    if key in images:
        raise DataError(f"{place}: {images[key].name} and {member.name} are two photos of one key; expected one")
    images[key] = member


@contextmanager
def reading_shard(place: str) -> Iterator[None]:
    """Turns the errors of a shard that cannot be read into a `DataError` that names it."""
    try:
        yield
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, KeyError, RecursionError) as error:
        raise DataError(f"cannot read the shard {place}: {reason(error)}; expected an uncompressed tar file") from None


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, max_bytes: int) -> bytes:
    """Returns the first bytes of a member, which may claim to be of any size."""
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read(max_bytes)
