"""Checks of the places of results, before anything is loaded or computed: nothing of the user's is replaced."""

from collections.abc import Sequence
from pathlib import Path

from incdet.cli.given_photos import GivenPhotos
from incdet.errors import OutputError
from incdet.runtime.files import require_writable_file

DEFAULT_FOLDER = Path("incdet-output")
"""Folder of the results where none is given."""


def check_json_file(file: Path, photos: Sequence[Path], overwrite: bool) -> None:
    """Refuses a file for --json that would cost the user something, before anything is computed."""
    if file.is_dir():
        raise OutputError(f"cannot write {file}: it is a folder; give a file with --json")
    if file.resolve() in {photo.resolve() for photo in photos}:
        raise OutputError(f"{file} is one of the photos given; give another file with --json")
    if file.exists() and not overwrite and not is_device(file):
        raise OutputError(f"{file} exists already; give another file with --json, or --overwrite")
    require_writable_file(file)


def check_folder(folder: Path, given: GivenPhotos) -> None:
    """Refuses a folder for results that holds the photos themselves: one would be taken for the other later."""
    if folder.is_file():
        raise OutputError(f"cannot put results into {folder}: it is a file; give a folder with --output")
    inside = folder.resolve()
    for photo in given.files:
        if given.source(photo) is photo and photo.resolve().is_relative_to(inside):
            raise OutputError(
                f"cannot put results into {folder}: the photo {photo} lies in it; give them a folder of their own, "
                f"such as --output {folder / DEFAULT_FOLDER}"
            )


def is_device(file: Path) -> bool:
    """Whether a file is a pipe, /dev/null or the like."""
    return file.exists() and not file.is_file()
