"""Files in folders and at addresses such as `s3://bucket/a.tar`, which fsspec and the user's drivers read."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from incdet.errors import ConfigurationError, OutputError, PackageError, reason
from incdet.runtime.files import atomic_file
from incdet.runtime.optional_packages import require_package

MAX_TRIES = 3
"""Number of times that a part of a file at an address is asked for: networks fail for a moment."""

PAUSE_SECONDS = 0.5
"""Time before the second try; it doubles with every further one."""

# one slash is left where a path has been made of the address; a single letter would be a drive of Windows
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)

_CHAIN = re.compile(r"[a-z][a-z0-9+.-]+::", re.IGNORECASE)
"""The beginning of an address whose first part names no file of its own, such as `filecache::s3://bucket/photos`."""

_LOCAL_SCHEMES = ("file", "local")
"""Beginnings of addresses that mean this machine's files, whose paths begin with a slash of their own."""

_VERSION_KEYS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
"""Names under which the drivers of fsspec tell one version of a file from another."""


class StoredFile(NamedTuple):
    """A file in a folder or at an address.

    Attributes:
        name: Its name in its folder.
        place: Its path or its address.
        size: Number of bytes.
        version: Text that changes when the file is written anew.
    """

    name: str
    place: str
    size: int
    version: str


def find_address(place: str | Path) -> str | None:
    """Returns the address that a user has given for a folder or a file, None for a path.

    >>> find_address("s3://bucket/photos"), find_address(Path("s3://bucket/photos")), find_address("photos")
    ('s3://bucket/photos', 's3://bucket/photos', None)
    >>> find_address(Path("file:///data")), find_address("zip://*.jpg::photos.zip"), find_address("C:/photos")
    ('file:///data', 'zip://*.jpg::photos.zip', None)
    """
    if _CHAIN.match(str(place)):
        return str(place)
    match = _ADDRESS.fullmatch(str(place))
    if match is None:
        return None
    scheme, rest = match.groups()
    return f"{scheme}:///{rest}" if scheme.lower() in _LOCAL_SCHEMES else f"{scheme}://{rest}"


def is_address(place: str) -> bool:
    """Whether a place is an address rather than a path; see `find_address`."""
    return find_address(place) is not None


def full_address(given: str, file_system: Any, path: str) -> str:
    """Returns the address of a file that was found in the file system of another address.

    Args:
        given: The address whose file system was searched.
        file_system: fsspec's file system.
        path: Path of the file in it.
    """
    # the file of "zip://*.jpg::s3://bucket/photos.zip" needs everything behind the first part, too
    first, chain, rest = given.partition("::")
    if not chain:
        return str(file_system.unstrip_protocol(path))
    return f"{first.partition('://')[0]}://{path}::{rest}"


def join_place(folder: str, name: str) -> str:
    """Returns the place of a name in a folder, which may be an address.

    >>> join_place("s3://bucket/photos/", "a.tar"), join_place("photos", "a.tar")
    ('s3://bucket/photos/a.tar', 'photos/a.tar')
    """
    return f"{folder.rstrip('/')}/{name}" if find_address(folder) else str(Path(folder, name))


def list_files(folder: str) -> list[StoredFile]:
    """Returns the files in a folder, without those in folders inside it, sorted by name; none where it is missing.

    Args:
        folder: Path or address of the folder.

    Raises:
        PackageError: fsspec or its driver for the address is not installed.
        OSError: The folder cannot be listed.
    """
    if find_address(folder) is None:
        return _list_local_files(folder)
    system, path = open_address(folder)
    with _plain_errors():
        # a listing that the driver remembers may be older than a file that was written meanwhile
        system.invalidate_cache(path)
        try:
            entries = system.ls(path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
    found = []
    for entry in entries:
        if entry["type"] == "file":
            marks = [str(entry[key]) for key in _VERSION_KEYS if entry.get(key) is not None]
            version = " ".join([str(entry["size"]), *marks[:1]])
            name = entry["name"].rpartition("/")[2]
            found.append(StoredFile(name, system.unstrip_protocol(entry["name"]), int(entry["size"]), version))
    return sorted(found)


def _list_local_files(folder: str) -> list[StoredFile]:
    if not Path(folder).is_dir():
        return []
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                status = entry.stat()
                version = f"{status.st_size} {status.st_mtime_ns}"
                found.append(StoredFile(entry.name, str(Path(folder, entry.name)), status.st_size, version))
    return sorted(found)


def read_part(place: str, start: int = 0, size: int | None = None) -> bytes:
    """Reads some bytes of a file; a part of a file at an address is asked for up to `MAX_TRIES` times.

    Args:
        place: Path or address of the file.
        start: First byte, default 0.
        size: Number of bytes; None reads to the end.

    Raises:
        OSError: The file cannot be read, or ends before the last of these bytes.
    """
    content = _read_local_part(place, start, size) if find_address(place) is None else _ask_for(place, start, size)
    if size is not None and len(content) < size:
        raise OSError("the file ends too early")
    return content


def _read_local_part(place: str, start: int, size: int | None) -> bytes:
    with Path(place).open("rb") as stream:
        stream.seek(start)
        return stream.read(-1 if size is None else size)


def _ask_for(place: str, start: int, size: int | None) -> bytes:
    system, path = open_address(place)
    end = None if size is None else start + size
    for attempt in range(MAX_TRIES - 1):
        try:
            with _plain_errors():
                return bytes(system.cat_file(path, start=start, end=end))
        except (FileNotFoundError, PermissionError):
            # neither gets better with time
            raise
        except OSError:
            time.sleep(PAUSE_SECONDS * 2**attempt)
    with _plain_errors():
        return bytes(system.cat_file(path, start=start, end=end))


def open_file(place: str) -> IO[bytes]:
    """Opens a file for reading from its beginning to its end.

    Args:
        place: Path or address of the file.

    Raises:
        OSError: The file cannot be opened.
    """
    if find_address(place) is None:
        return Path(place).open("rb")
    system, path = open_address(place)
    with _plain_errors():
        stream: IO[bytes] = system.open(path, "rb")
    return stream


def write_file(place: str, content: bytes) -> None:
    """Writes a file, whole or not at all.

    Args:
        place: Path or address of the file; its folder is made where it is missing.
        content: The bytes.

    Raises:
        OutputError: The file cannot be written.
    """
    if find_address(place) is None:
        with atomic_file(Path(place)) as stream:
            stream.write(content)
        return
    system, path = open_address(place)
    try:
        # object stores have no folders
        if place.lower().startswith(tuple(f"{scheme}:" for scheme in _LOCAL_SCHEMES)):
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
        # an object store shows an object when the last byte has come
        system.pipe_file(path, content)
    except Exception as error:  # a driver raises errors of its own kinds
        raise OutputError(f"cannot write {place}: {reason(error)}; choose another place for it") from None


def open_address(address: str) -> tuple[Any, str]:
    """Returns fsspec's file system of an address, which fsspec keeps for the next time, and the path in it.

    Args:
        address: Address such as `s3://bucket/photos`, possibly chained with `::`.

    Raises:
        PackageError: fsspec or its driver is not installed.
        ConfigurationError: There is no driver for such an address.
    """
    require_package("fsspec", "files at addresses", "cluster")
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise PackageError(f"cannot open {address}: {reason(error)}; install this driver of fsspec") from None
    except Exception as error:  # drivers check names and keys in their own ways
        raise ConfigurationError(f"cannot open {address}: {reason(error)}; check the address") from None
    return system, path


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turns the errors of drivers, which have kinds of their own, into those of the operating system."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(reason(error)) from None
