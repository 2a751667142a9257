"""One run at a time in a folder: two that write the same files would lose each other's results."""

import os
from contextlib import suppress
from pathlib import Path

from incdet.errors import OutputError, reason
from incdet.runtime.files import remove_stale_temporaries

LOCK_FILE = ".incdet.lock"
"""Name of the file that a run holds locked in the folder of its results."""


class FolderLock:
    """A lock on a folder, which the system lets go when the process ends, however it ends.

    A process may lock a folder again that it has locked before. Without such locks in the system nothing is locked.

    Args:
        folder: The folder, which exists.

    Raises:
        OutputError: Another process writes into the folder, or it cannot be written to.
    """

    def __init__(self, folder: Path):
        self.file = folder / LOCK_FILE
        self._descriptor: int | None = None
        try:
            import fcntl
        except ImportError:  # Windows
            return
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
                return  # a file system without locks
            raise OutputError(
                f"another run{f' (process {owner})' if owner.isdecimal() else ''} writes into {folder} now; wait for "
                "its end, or give another folder"
            ) from None
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Lets the folder go and removes the file."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            self.file.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def lock_folder(folder: Path, *inside: str) -> FolderLock:
    """Makes a folder where it is missing, locks it, and removes what killed runs have left unfinished in it.

    Args:
        folder: The folder.
        inside: Names of folders inside that are cleaned, too.

    Raises:
        OutputError: The folder cannot be made, or another process writes into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {reason(error)}; choose another place for it") from None
    lock = FolderLock(folder)
    remove_stale_temporaries(folder, *(folder / name for name in inside))
    return lock
