"""What `run.json` tells of each photo whose results are in a folder."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATE = ("photos", "json_file")
"""Keys of `run.json` that tell what was done rather than how."""


@dataclass(frozen=True)
class PhotoRecord:
    """The entry of a photo in `run.json`.

    Attributes:
        identity: Text that changes when another photo takes the place of this one.
        file: Stem of the photo's own result files.
        name: Name of the photo in files about all photos, relative to the folder that was searched.
        path: The photo's whole path; empty where it is no file.
    """

    identity: str = ""
    file: str = ""
    name: str = ""
    path: str = ""


def stored_records(stored: Mapping[str, Any]) -> dict[str, PhotoRecord]:
    """Returns the records of the photos in a `run.json`; entries of another form are left out."""
    photos = stored.get("photos")
    records = {}
    for photo, entry in photos.items() if isinstance(photos, dict) else ():
        with suppress(TypeError):
            records[photo] = PhotoRecord(**entry)
    return records


def is_elsewhere(photo: str, record: PhotoRecord | None) -> bool:
    """Whether a record is of another photo, still there, that the same relative name means in another working folder.

    Args:
        photo: Name of the photo as it is given now.
        record: Record under this name; None without one.
    """
    if record is None or not record.path or record.path == str(Path(photo).absolute()):
        return False
    try:
        return not Path(record.path).samefile(photo)
    except OSError:
        return False
