"""Pictures that incdet makes: their names, by which the descriptions in their folders tell them from photos."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from incdet.runtime.provenance import RUN_FILE, is_run_description

_MAX_STEM_BYTES = 200
"""Longest stem of a file name, in bytes. Names may have 255 bytes, and ours end in a number and a suffix."""

_RESERVED = ("run", "detections.coco", "detections.cvat")
"""Stems of files about all photos, which would be written over by files of a photo with the same name."""

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
    if stored is None or not is_run_description(stored):
        return None
    photos = stored.get("photos")
    entries = photos.values() if isinstance(photos, dict) else ()
    return frozenset(str(entry["file"]) for entry in entries if isinstance(entry, dict) and "file" in entry)


def picture_names(photos: Sequence[Path], taken: Mapping[str, str] | None = None) -> dict[Path, str]:
    """Returns a different name for every photo: its stem, with a number where another file has the same stem.

    Args:
        photos: The photos.
        taken: Names that photos have had so far, by the photo's path. They keep them.

    Upper and lower case count as the same, because the disks of macOS and Windows do not tell them apart.

    >>> sorted(picture_names([Path("a/x.jpg"), Path("b/x.jpg"), Path("y.png")]).values())
    ['x', 'x-2', 'y']
    """
    taken = taken or {}
    names: dict[Path, str] = {}
    used = {name.casefold() for name in (*_RESERVED, *taken.values())}
    for photo in photos:
        if str(photo) in taken:
            names[photo] = taken[str(photo)]
            continue
        stem = os.fsdecode(os.fsencode(photo.stem)[:_MAX_STEM_BYTES])
        name, number = stem, 1
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name.casefold())
        names[photo] = name
    return names
