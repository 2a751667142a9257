"""Photos inside tar shards, which the rest of incdet opens as it opens other files."""

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from incdet.errors import IncdetError
from incdet.runtime.addresses import read_part

if sys.platform == "win32":
    from pathlib import WindowsPath as _SystemPath
else:
    from pathlib import PosixPath as _SystemPath


@dataclass(frozen=True)
class Shard:
    """A tar file that holds photos.

    Attributes:
        place: Its path or its address.
        version: Text that changes when the file is written anew.
    """

    place: str
    version: str


class ShardPhoto(_SystemPath):
    """A photo inside a tar shard, as the path SHARD/NAME.

    It is a path, so that everything that reads photos from files reads it, too: opening it reads its bytes where they
    lie in the shard. It is sent to other processes without anything open.

    Args:
        shard: The shard.
        member: Name of the photo in the shard.
        start: Place of its first byte in the shard.
        size: Number of its bytes.
    """

    __slots__ = ("member", "shard", "size", "start")

    shard: Shard
    member: str
    start: int
    size: int

    def __new__(cls, shard: Shard, member: str, start: int, size: int) -> "ShardPhoto":
        photo: ShardPhoto = super().__new__(cls, f"{shard.place}/{member}")
        photo.shard, photo.member, photo.start, photo.size = shard, member, start, size
        return photo

    def __init__(self, shard: Shard, member: str, start: int, size: int) -> None:
        # from Python 3.12 on, a path gets its text here
        if sys.version_info >= (3, 12):
            super().__init__(f"{shard.place}/{member}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardPhoto, (self.shard, self.member, self.start, self.size)

    def __str__(self) -> str:
        # a path would make s3:/bucket of s3://bucket
        return f"{self.shard.place}/{self.member}"

    @property
    def parent(self) -> Path:  # type: ignore[override]
        """The shard."""
        return Path(self.shard.place)

    @property
    def key(self) -> str:
        """The name of the photo in its shard up to the first dot, which WebDataset calls key."""
        folder, _, name = self.member.rpartition("/")
        return f"{folder}/{name.partition('.')[0]}".lstrip("/")

    def with_segments(self, *segments: Any) -> Path:
        """Returns what is made of this path: it is no photo in a shard."""
        return Path(*segments)

    def open(self, *_: Any, **__: Any) -> IO[Any]:  # type: ignore[override]
        """Returns the photo's bytes as a binary file.

        Raises:
            OSError: The shard cannot be read.
        """
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Returns the photo's bytes.

        Raises:
            OSError: The shard cannot be read.
        """
        try:
            return read_part(self.shard.place, self.start, self.size)
        except IncdetError as error:
            # a package that one machine lacks
            raise OSError(str(error)) from None

    def is_file(self) -> bool:
        """Whether the photo is there: its shard was listed."""
        return True

    def is_dir(self) -> bool:
        """Whether this is a folder, which it is not."""
        return False

    def absolute(self) -> "ShardPhoto":
        """Returns the photo itself, whose shard says where it is."""
        return self


def file_version(path: Path) -> str | None:
    """Returns a text that names a file as it is now and changes when it is written anew; None where it is missing."""
    if isinstance(path, ShardPhoto):
        return f"{path} {path.start} {path.size} {path.shard.version}"
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"
