"""Files that are written whole or not at all: under a temporary name in the same folder, and then renamed."""

import errno
import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from incdet.errors import OutputError, reason


@contextmanager
def atomic_file(file: Path, follow_links: bool = False) -> Iterator[IO[bytes]]:
    """A binary file to write to, which takes its name only when the block ends without an error.

    Something that is no ordinary file, such as a pipe or /dev/null, is written to directly.

    Args:
        file: name of the file; its folder is made where it is missing.
        follow_links: whether the target of a link is replaced, and not the link. Only for names that a user has given:
            a link that somebody has put into a folder of results must lead nowhere.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    if follow_links and file.is_symlink():
        file = file.resolve()
    is_link = file.is_symlink()
    if not is_link and file.exists() and not file.is_file() and not file.is_dir():
        with _writable(file), file.open("wb") as stream:
            yield stream
        return
    # in the same folder, because renaming is atomic only within a file system
    with _writable(file):
        if file.is_dir() and not is_link:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f"{_PREFIX}{_host()}.{os.getpid()}.", dir=file.parent)
    temporary = Path(name)
    try:
        with _writable(file):
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                # a library that writes by itself may not notice that the disk is full
                if os.fstat(stream.fileno()).st_size < stream.tell():
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # mkstemp makes files that only their owner may read, but results get the usual permissions
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


_PREFIX = ".incdet."
"""Beginning of the names of files that are not whole yet."""


def remove_stale_temporaries(*folders: Path) -> None:
    """Removes the unfinished files that killed processes of this machine have left in folders."""
    beginning = f"{_PREFIX}{_host()}."
    for folder in folders:
        with suppress(OSError):
            for file in folder.glob(f"{beginning}*"):
                process = file.name.removeprefix(beginning).split(".")[0]
                if process.isdecimal() and not _is_alive(int(process)):
                    file.unlink(missing_ok=True)


def _host() -> str:
    """Returns a name of this machine that has no dots."""
    return re.sub(r"\W", "-", socket.gethostname())[:40] or "host"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@contextmanager
def _writable(file: Path) -> Iterator[None]:
    """Turns errors of the operating system into an `OutputError` that names the file."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {file}: {reason(error)}; choose another place for it") from None


def write_text(file: Path, text: str, follow_links: bool = False) -> None:
    """Writes UTF-8 text atomically.

    Args:
        file: name of the file; its folder is made where it is missing.
        text: the text; bytes of file names that are no valid UTF-8 are written as escapes.
        follow_links: whether the target of a link is replaced; see `atomic_file`.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    with atomic_file(file, follow_links) as stream:
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


def append_text(file: Path, text: str, create: bool = False) -> None:
    """Appends UTF-8 text to a file that is there, without following a link.

    Args:
        file: the file.
        text: the text.
        create: whether the file is made where it is missing; otherwise a folder that went away is noticed.

    Raises:
        OSError: the file cannot be written to, or is missing, or is a link.
    """
    flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT if create else 0)
    with os.fdopen(os.open(file, flags, 0o666), "ab") as stream:
        stream.write(text.encode(errors="backslashreplace"))


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


def load_arrays(file: Path | IO[bytes], *names: str) -> dict[str, np.ndarray] | None:
    """Reads the arrays of a .npz; nothing is unpickled.

    Args:
        file: name of the .npz, or the open file.
        names: arrays that must be there, because a .npz does not notice when entries of its directory are lost.

    Returns:
        All arrays by name; None where the file is missing, damaged, or lacks one of the names.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored) if set(names) <= set(stored.files) else None
    except Exception:  # a damaged file can fail anywhere, in the zip as in the headers of its arrays
        return None


_UMASK_LOCK = threading.Lock()


def _umask() -> int:
    """The permissions that new files of this process do not get."""
    # Python reads it only by setting it, for a moment to 0, so threads take turns
    with _UMASK_LOCK:
        mask = os.umask(0)
        os.umask(mask)
    return mask
