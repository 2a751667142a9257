"""The index at the end of a shard: where its photos lie, and their annotations.

A tar file says what it holds only to who reads it from beginning to end, which at an address is all of its bytes. The
index is the last member but one, and the last member, of one block, says where it begins. WebDataset passes both over.
A shard to which something was appended has no index any more, because its last member is another one.
"""

import io
import json
import tarfile
from typing import Any, NamedTuple

from incdet.runtime.addresses import StoredFile, read_part

INDEX_MEMBER = "__index__/photos.json"
"""Name of the index in the shard."""

_PLACE_MEMBER = "__index__/place.json"
"""Name of the member that says where the index lies."""

_BLOCK = tarfile.BLOCKSIZE

_TAIL = tarfile.RECORDSIZE + 4 * _BLOCK
"""Number of bytes at the end of a shard that are sure to hold the last member: the end is filled up to a record."""


class IndexedPhoto(NamedTuple):
    """A photo in a shard.

    Attributes:
        member: Its name in the shard.
        start: Place of its first byte.
        size: Number of its bytes.
        annotation: The JSON beside it.
    """

    member: str
    start: int
    size: int
    annotation: Any


def is_index(member: str) -> bool:
    """Whether a member of a shard belongs to its index."""
    return member in (INDEX_MEMBER, _PLACE_MEMBER)


def append_index(archive: tarfile.TarFile, photos: list[IndexedPhoto]) -> None:
    """Writes the index as the last members of a shard.

    Args:
        archive: The shard, which is closed next.
        photos: Its photos.
    """
    content = json.dumps([list(photo) for photo in photos]).encode()
    start = archive.offset + _BLOCK
    add_member(archive, INDEX_MEMBER, content)
    # spaces fill the block, so that its place follows from the end of the file
    place = json.dumps({"start": start, "size": len(content)}).encode()
    add_member(archive, _PLACE_MEMBER, place.ljust(_BLOCK))


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> int:
    """Writes a file into a shard, without time and owner, so that equal photos give equal shards.

    Returns:
        Place of the first byte of the content.
    """
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
    # the content is filled up to whole blocks
    return archive.offset - -(-len(content) // _BLOCK) * _BLOCK


def read_shard_index(file: StoredFile) -> list[IndexedPhoto] | None:
    """Returns the photos that the index of a shard names; None where it has none, or one that cannot be true.

    Args:
        file: The shard.

    Raises:
        OSError: The shard cannot be read.
    """
    tail_start = max(file.size - _TAIL, 0)
    tail = read_part(file.place, tail_start, file.size - tail_start)
    header = tail.rfind(_PLACE_MEMBER.encode() + b"\0")
    # the content has one block, and nothing but zeros follows
    content, rest = tail[header + _BLOCK : header + 2 * _BLOCK], tail[header + 2 * _BLOCK :]
    if header < 0 or rest.strip(b"\0"):
        return None
    try:
        place = json.loads(content)
        start, size = int(place["start"]), int(place["size"])
        if min(start, size) <= 0 or start + size > file.size:
            return None
        entries = json.loads(read_part(file.place, start, size))
        photos = [IndexedPhoto(str(entry[0]), int(entry[1]), int(entry[2]), entry[3]) for entry in entries]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError):
        return None
    is_inside = all(min(photo.start, photo.size) >= 0 and photo.start + photo.size <= start for photo in photos)
    return photos if is_inside else None
