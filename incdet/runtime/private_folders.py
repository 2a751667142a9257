"""Folders that keep files between processes, and whether their content can be trusted."""

import os
import stat
import sys
from pathlib import Path


def user_cache_folder() -> Path:
    """Returns the folder in which incdet keeps what it has compiled; it is made when something is stored.

    It is `$INCDET_CACHE`, or lies in the system's folder for such files: `$XDG_CACHE_HOME` or `~/.cache` on Linux.

    Raises:
        RuntimeError: The user has no home.
    """
    if os.environ.get("INCDET_CACHE"):
        return Path(os.environ["INCDET_CACHE"])
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "incdet"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "incdet" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "incdet"
    return Path.home() / ".cache" / "incdet"


def is_private(folder: Path) -> bool:
    """Whether only this user, or an administrator, can write to a folder; one that is missing is made by this user."""
    if not hasattr(os, "getuid"):  # Windows
        return True
    try:
        status = folder.stat()
    except OSError:
        return True
    is_own = status.st_uid in (0, os.getuid())
    # many systems give every user a group of his own, which may write by default
    others = stat.S_IWOTH if status.st_gid == os.getgid() else stat.S_IWOTH | stat.S_IWGRP
    return is_own and not status.st_mode & others
