"""One run at a time in a folder: two that write the same files would lose each other's results."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from incdet.errors import OutputError, reason
from incdet.runtime.files import remove_stale_temporaries

LOCK_FILE = ".incdet.lock"
"""Name of the file that a run holds locked in the folder of its results."""


@dataclass
class _Held:
    """A file that this process has locked.

    Attributes:
        descriptor: The open file.
        count: Number of locks of the same folder in this process.
    """

    descriptor: int
    count: int = 0


_held: dict[tuple[int, Path], _Held] = {}
"""Process and file -> the lock on it."""


class FolderLock:
    """A lock on a folder, which the system lets go when the process ends, however it ends.

    A process may lock a folder again that it has locked before; the last release lets it go. Without such locks in the
    system nothing is locked.

    Args:
        folder: The folder, which exists.
        made: Folders that were made for this lock, the innermost first, which go with it where nothing was written.

    Raises:
        OutputError: Another process writes into the folder, or it cannot be written to.
    """

    def __init__(self, folder: Path, made: Sequence[Path] = ()):
        self._is_held, self._made = False, made
        self.file = folder / LOCK_FILE
        # a forked process has the table of its parent, but none of its locks
        self._key = os.getpid(), self.file.resolve()
        self._is_held = self._key in _held or self._acquire(folder)
        if self._is_held:
            _held[self._key].count += 1

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        # a run that ended in an error, while the process goes on
        self.release()

    def _acquire(self, folder: Path) -> bool:
        """Whether the system has locked the file now; see the class for errors."""
        try:
            import fcntl
        except ImportError:  # Windows
            return False
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(self.file, flags, 0o666)
        except OSError as error:
            raise OutputError(f"cannot write into {folder}: {reason(error)}; give another folder") from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            if not isinstance(error, BlockingIOError | PermissionError):
                return False  # a file system without locks
            raise OutputError(
                f"another run{f' (process {owner})' if owner.isdecimal() else ''} writes into {folder} now; wait for "
                "its end, or give another folder"
            ) from None
        # the run that had the lock until now may have removed the file since it was opened here
        if not _is_file_of(self.file, descriptor):
            os.close(descriptor)
            raise OutputError(f"another run has just ended in {folder}; run again")
        # without the number, the lock holds all the same
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        _held[self._key] = _Held(descriptor)
        return True

    def release(self) -> None:
        """Lets the folder go and removes the file, unless this process has locked it more than once."""
        if not self._is_held or self._key[0] != os.getpid():
            return
        self._is_held = False
        held = _held[self._key]
        held.count -= 1
        # closing any of a process' open files of this name would let the folder go
        if held.count == 0:
            del _held[self._key]
            with suppress(OSError):
                self.file.unlink()
            os.close(held.descriptor)
        # the first folder with something in it ends this
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def _is_file_of(file: Path, descriptor: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except OSError:
        return False


def lock_folder(folder: Path, *inside: str) -> FolderLock:
    """Makes a folder where it is missing, locks it, and removes what killed runs have left unfinished in it.

    Args:
        folder: The folder.
        inside: Names of folders inside that are cleaned, too.

    Raises:
        OutputError: The folder cannot be made, or another process writes into it.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {reason(error)}; choose another place for it") from None
    lock = FolderLock(folder, made)
    remove_stale_temporaries(folder, *(folder / name for name in inside))
    return lock
