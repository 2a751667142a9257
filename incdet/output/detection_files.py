"""The files about single photos that `incdet detect` saves, by the kind of file."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from incdet.detections import Detections
from incdet.errors import OutputError, reason
from incdet.output.labelling_writers import labelme_document, yolo_text
from incdet.output.writers import voc_xml
from incdet.runtime.files import remove_stale_temporaries, write_text
from incdet.runtime.picture_files import save_picture
from incdet.structures import Image

CROP_NAME = re.compile(r"\d{3,}-.*\.jpg")
"""Names of the pictures in a folder of crops."""

_MAX_LABEL_LENGTH = 60
"""Number of letters of a class that the name of a crop has."""


def save_photo_files(find_file: Callable[[str], Path | None], found: Detections, image: Image, photo: Path) -> None:
    """Writes the files of one photo.

    Args:
        find_file: Kind of file -> its path; None where the kind is not wanted.
        found: The detections that are shown.
        image: The photo.
        photo: The photo's own file.

    Raises:
        OutputError: A file cannot be written.
    """
    if (picture := find_file("image")) is not None:
        save_picture(picture, found.draw(image))
    if (annotation := find_file("voc")) is not None:
        write_text(annotation, voc_xml(found))
    if (labels := find_file("yolo")) is not None:
        write_text(labels, yolo_text(found))
    if (shapes := find_file("labelme")) is not None:
        # LabelMe looks for the photo beside its JSON
        document = labelme_document(found) | {"imagePath": _path_from(shapes.parent, photo)}
        write_text(shapes, json.dumps(document, indent=2) + "\n")
    if (folder := find_file("crops")) is not None:
        save_crops(folder, found, image)


def save_crops(folder: Path, found: Detections, image: Image) -> None:
    """Writes a picture of every detection, numbered from the best on, in the place of earlier ones.

    Raises:
        OutputError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(folder)
        for earlier in folder.iterdir():
            if CROP_NAME.fullmatch(earlier.name):
                earlier.unlink()
    except OSError as error:
        raise OutputError(f"cannot write crops into {folder}: {reason(error)}; give another folder") from None
    for number, (label, crop) in enumerate(zip(found.labels, found.crops(image), strict=True), 1):
        name = "".join(letter if letter.isalnum() else "_" for letter in label)[:_MAX_LABEL_LENGTH]
        save_picture(folder / f"{number:03d}-{name}.jpg", crop)


def _path_from(folder: Path, photo: Path) -> str:
    """Returns the path of a photo as seen from a folder; absolute on another drive."""
    try:
        return Path(os.path.relpath(photo, folder)).as_posix()
    except ValueError:
        return str(photo.absolute())
