"""Files that are written whole or not at all: under a temporary name in the same folder, and then renamed."""

import errno
import gzip
import os
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from incdet.errors import DataError, OutputError, reason

GZIP_START = b"\x1f\x8b"
"""First bytes of every gzip file."""


@contextmanager
def atomic_file(file: Path) -> Iterator[IO[bytes]]:
    """A binary file to write to, which takes its name only when the block ends without an error.

    Something that is no ordinary file, such as a pipe or /dev/null, is written to directly.

    Args:
        file: name of the file; its folder is made where it is missing.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    # the target of a link is replaced, not the link
    if file.is_symlink():
        file = file.resolve()
    if file.exists() and not file.is_file() and not file.is_dir():
        with _writable(file), file.open("wb") as stream:
            yield stream
        return
    # in the same folder, because renaming is atomic only within a file system
    with _writable(file):
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".incdet.", dir=file.parent)
    temporary = Path(name)
    try:
        with _writable(file):
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
            # mkstemp makes files that only their owner may read, but results get the usual permissions
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(file)
    except BaseException:
        temporary.unlink()
        raise


@contextmanager
def _writable(file: Path) -> Iterator[None]:
    """Turns errors of the operating system into an `OutputError` that names the file."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {file}: {reason(error)}; choose another place for it") from None


def write_text(file: Path, text: str) -> None:
    """Writes UTF-8 text atomically.

    Args:
        file: name of the file; its folder is made where it is missing.
        text: the text; bytes of file names that are no valid UTF-8 are written as escapes.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    with atomic_file(file) as stream:
        stream.write(text.encode(errors="backslashreplace"))


def require_writable_folder(folder: Path) -> None:
    """Makes sure, before long work starts, that files can be written to a folder, which need not exist yet.

    Nothing is left behind.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    with _writable(folder):
        _try_to_write_below(folder)


def require_writable_file(file: Path) -> None:
    """Makes sure, before long work starts, that a file can be written or replaced; its folder need not exist yet.

    Raises:
        OutputError: the file is a folder, or its folder cannot be made or written to.
    """
    with _writable(file):
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # pipes and the like are written to directly, whatever their folder
        is_special = file.exists() and not file.is_file()
        if not is_special:
            _try_to_write_below(file.parent)


def _try_to_write_below(folder: Path) -> None:
    """Writes a file without a name, which the system removes by itself, into a folder or the nearest one above it."""
    while not folder.exists():
        folder = folder.parent
    with tempfile.TemporaryFile(prefix=".incdet.", dir=folder):
        pass


def read_text(file: Path, what: str, hint: str) -> str:
    """The UTF-8 text of an input file, which may be compressed with gzip.

    Args:
        file: name of the file.
        what: the file's role, for the message, such as "the image list".
        hint: advice for the message, when the file cannot be read.

    Raises:
        DataError: the file is missing, unreadable or no text.
    """
    try:
        content = file.read_bytes()
        return (gzip.decompress(content) if content.startswith(GZIP_START) else content).decode()
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {what} {file}: {reason(error)}; {hint}") from None


def open_text(file: Path) -> IO[str]:
    """Opens a UTF-8 text file for reading, which may be compressed with gzip.

    Raises:
        OSError: The file cannot be opened.
    """
    with file.open("rb") as stream:
        compressed = stream.read(len(GZIP_START)) == GZIP_START
    return gzip.open(file, "rt", encoding="utf-8") if compressed else file.open(encoding="utf-8")


def save_arrays(file: Path, **arrays: Any) -> None:
    """Writes named arrays as a compressed .npz, atomically.

    Args:
        file: name of the .npz; its folder is made where it is missing.
        arrays: the arrays, by name.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    with atomic_file(file) as stream:
        np.savez_compressed(stream, **arrays)


def load_arrays(file: Path, *names: str) -> dict[str, np.ndarray] | None:
    """Reads the arrays of a .npz; nothing is unpickled.

    Args:
        file: name of the .npz.
        names: arrays that must be there, because a .npz does not notice when entries of its directory are lost.

    Returns:
        All arrays by name; None where the file is missing, damaged, or lacks one of the names.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored) if set(names) <= set(stored.files) else None
    except (OSError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


_UMASK_LOCK = threading.Lock()


def _umask() -> int:
    """The permissions that new files of this process do not get."""
    # Python reads it only by setting it, for a moment to 0, so threads take turns
    with _UMASK_LOCK:
        mask = os.umask(0)
        os.umask(mask)
    return mask
