"""Pictures that incdet made: the descriptions in their folders name them, so that nobody takes them for photos."""

import json
from pathlib import Path
from typing import Any

from incdet.runtime.provenance import RUN_FILE

SUBFOLDERS = ("hierarchy",)
"""Folders of pictures inside a folder of results."""


def stored_run(folder: Path) -> dict[str, Any] | None:
    """Returns the description of the run whose results are in a folder; None where incdet has written none."""
    try:
        stored = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    is_own = isinstance(stored, dict) and isinstance(stored.get("photos", {}), dict | int)
    return stored if is_own else None


class ResultPictures:
    """The pictures of all folders of results, whose descriptions are read once."""

    def __init__(self) -> None:
        self._names: dict[Path, frozenset[str] | None] = {}

    def __contains__(self, file: Path) -> bool:
        """Whether a file is a picture that incdet made."""
        folder = file.parent.parent if file.parent.name in SUBFOLDERS else file.parent
        if folder not in self._names:
            self._names[folder] = _names_in(folder)
        names = self._names[folder]
        return names is not None and file.suffix.lower() == ".jpg" and file.stem in names


def _names_in(folder: Path) -> frozenset[str] | None:
    """Returns the stems of the pictures in a folder of results; None where it is no such folder."""
    stored = stored_run(folder)
    if stored is None or not isinstance(stored.get("versions"), dict) or "incdet" not in stored["versions"]:
        return None
    photos = stored.get("photos")
    entries = photos.values() if isinstance(photos, dict) else ()
    return frozenset(str(entry["file"]) for entry in entries if isinstance(entry, dict) and "file" in entry)
