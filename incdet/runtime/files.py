"""Files that are written whole or not at all: under a temporary name in the same folder, then renamed."""

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
    """A binary file to write to; it takes its name only when the block ends without an error.

    What is there and is no ordinary file, such as a pipe or /dev/null, is written to as it is.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    if file.is_symlink():
        file = file.resolve()
    if file.exists() and not file.is_file() and not file.is_dir():
        with _writable(file), file.open("wb") as stream:
            yield stream
        return
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
            # mkstemp makes files that only their owner may read; results get the usual permissions
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(file)
    except BaseException:
        temporary.unlink()
        raise


@contextmanager
def _writable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {file}: {reason(error)}; choose another place for it") from None


def write_text(file: Path, text: str) -> None:
    """Writes UTF-8 text atomically; bytes of file names that are no text are written as escapes.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    with atomic_file(file) as stream:
        stream.write(text.encode(errors="backslashreplace"))


def read_text(file: Path, what: str, hint: str) -> str:
    """The UTF-8 text of an input file, which may be compressed with gzip.

    Args:
        file: where it should be.
        what: its role, for the message: "the image list".
        hint: what to do when it cannot be read.

    Raises:
        DataError: missing, unreadable or not text.
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

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    with atomic_file(file) as stream:
        np.savez_compressed(stream, **arrays)


def load_arrays(file: Path, *names: str) -> dict[str, np.ndarray] | None:
    """The arrays of a .npz, or None where it is missing or damaged; nothing is unpickled.

    Args:
        file: the .npz.
        names: arrays without which it is damaged: an archive does not notice when entries of its directory are lost.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored) if set(names) <= set(stored.files) else None
    except (OSError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


_UMASK = threading.Lock()


def _umask() -> int:
    # it can only be read by setting it
    with _UMASK:
        mask = os.umask(0)
        os.umask(mask)
    return mask
