"""The place of a cluster's results, a folder or an address: every file appears there whole or not at all."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from incdet.errors import IncdetError, OutputError, reason
from incdet.runtime.addresses import is_address, open_address
from incdet.runtime.files import atomic_file

_RENAMING = frozenset({"sftp", "ssh", "hdfs", "webhdfs", "arrow_hdfs", "smb", "ftp"})
"""Protocols of file systems on which a half-written file can be seen, but a file can be renamed in one step. On object
stores it is the other way round: a file appears when it is complete, and renaming copies it."""

_TEMPORARY = ".incdet."
"""Beginning of the names of files that are not whole yet."""


class ResultStore(Protocol):
    """Files by name, below one folder or address.

    Attributes:
        place: The folder or the address.
    """

    place: str

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file; None where there is no such file."""

    def writing(self, name: str) -> "_Writing":
        """Opens a file to write to, which takes its name only when the block ends without an error."""

    def names(self, folder: str = "") -> Iterator[str]:
        """Yields the names of the files in a folder, without the folder; none where there is no folder."""

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is no error."""

    def remove_temporaries(self, *folders: str) -> None:
        """Removes what killed processes have left unfinished in folders. Only for times when nobody writes."""


class _Writing(Protocol):
    """A context manager of a binary file."""

    def __enter__(self) -> IO[bytes]: ...

    def __exit__(self, *details: Any) -> bool | None: ...


def open_store(place: str) -> ResultStore:
    """Opens the place of results; nothing is made there before the first file is written.

    Args:
        place: Folder or address.

    Raises:
        IncdetError: The address cannot be used.
    """
    return AddressStore(place) if is_address(place) else FolderStore(place)


def write_content(store: ResultStore, name: str, content: bytes) -> None:
    """Writes a whole file.

    Raises:
        OutputError: The place cannot be written to.
    """
    with store.writing(name) as stream:
        stream.write(content)


class FolderStore:
    """Results in a folder, which all nodes see under the same path.

    Args:
        place: The folder.
    """

    def __init__(self, place: str) -> None:
        self.place = str(Path(place).absolute())

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file; None where there is none."""
        try:
            return Path(self.place, name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise OutputError(f"cannot read {self.place}/{name}: {reason(error)}; check its rights") from None

    def writing(self, name: str) -> _Writing:
        """Opens a file to write to, see `atomic_file`."""
        return atomic_file(Path(self.place, name))

    def names(self, folder: str = "") -> Iterator[str]:
        """Yields the names of the files in a folder."""
        try:
            with os.scandir(Path(self.place, folder)) as entries:
                for entry in entries:
                    if entry.is_file() and not entry.name.startswith(_TEMPORARY):
                        yield entry.name
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise OutputError(f"cannot read {self.place}: {reason(error)}; give another place with --output") from None

    def remove(self, name: str) -> None:
        """Removes a file."""
        try:
            Path(self.place, name).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise OutputError(f"cannot remove {self.place}/{name}: {reason(error)}; check its rights") from None

    def remove_temporaries(self, *folders: str) -> None:
        """Removes unfinished files of all machines."""
        for folder in folders:
            for file in Path(self.place, folder).glob(f"{_TEMPORARY}*.*.*"):
                with suppress(OSError):
                    file.unlink()


class AddressStore:
    """Results at an address of fsspec.

    Args:
        place: The address.

    Raises:
        IncdetError: No driver can use the address.
    """

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        self._file_system, self._root = open_address(self.place)
        protocols = self._file_system.protocol
        names = {protocols} if isinstance(protocols, str) else set(protocols)
        self._renames = bool(names & _RENAMING)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file; None where there is none."""
        with self._told("read", name):
            try:
                return bytes(self._file_system.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Opens a file of this machine, which is sent to the address as a whole at the end of the block."""
        with tempfile.TemporaryDirectory(prefix="incdet-") as folder:
            file = Path(folder, "part")
            with file.open("wb") as stream:
                yield stream
            with self._told("write", name):
                self._send(file, self._path(name))

    def _send(self, file: Path, path: str) -> None:
        self._file_system.makedirs(path.rpartition("/")[0], exist_ok=True)
        if not self._renames:
            self._file_system.put_file(str(file), path)
            return
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/{_TEMPORARY}{secrets.token_hex(8)}.{name}"
        self._file_system.put_file(str(file), temporary)
        self._file_system.mv(temporary, path)

    def names(self, folder: str = "") -> Iterator[str]:
        """Yields the names of the files in a folder."""
        with self._told("list", folder):
            # a driver may know what was there a while ago
            self._file_system.invalidate_cache()
            try:
                entries = self._file_system.ls(self._path(folder).rstrip("/"), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                entries = []
        for entry in entries:
            name = str(entry).rstrip("/").rpartition("/")[2]
            if not name.startswith(_TEMPORARY):
                yield name

    def remove(self, name: str) -> None:
        """Removes a file."""
        with self._told("remove", name), suppress(FileNotFoundError):
            self._file_system.rm_file(self._path(name))

    def remove_temporaries(self, *folders: str) -> None:
        """Removes files that were never renamed; object stores have none."""
        if not self._renames:
            return
        for folder in folders:
            pattern = f"{folder}/{_TEMPORARY}*" if folder else f"{_TEMPORARY}*"
            with suppress(Exception):
                for path in self._file_system.glob(self._path(pattern)):
                    self._file_system.rm_file(path)

    @contextmanager
    def _told(self, attempt: str, name: str) -> Iterator[None]:
        """Turns a driver's errors into a sentence about the address."""
        try:
            yield
        except IncdetError:
            raise
        except Exception as error:  # drivers have errors of their own
            raise OutputError(
                f"cannot {attempt} {self.place}/{name}: {reason(error)}; check the address and your access to it"
            ) from None
