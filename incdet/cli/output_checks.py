"""Checks of the places of results, before anything is loaded or computed: nothing of the user's is replaced."""

from collections.abc import Sequence
from pathlib import Path

from incdet.cli.given_photos import GivenPhotos
from incdet.errors import OutputError
from incdet.runtime.addresses import find_address
from incdet.runtime.files import require_writable_file
from incdet.runtime.provenance import RUN_FILE

DEFAULT_FOLDER = Path("incdet-output")
"""Folder of the results where none is given."""


def refuse_address(place: Path | None, option: str) -> None:
    """Refuses an address as a place of results on this machine, where it would become a folder of that name."""
    if place is not None and find_address(place) is not None:
        raise OutputError(
            f"{option} {find_address(place)} is an address, to which only detect and propose with --cluster write, by "
            "--output; give a path"
        )


def refuse_own_name(file: Path, folder: Path) -> None:
    """Refuses a file for --json that has, in the folder of the results, the name of a file that a run needs itself."""
    is_own = file.name == RUN_FILE or file.name.startswith(".") or file.name.endswith(".unfinished.jsonl")
    if is_own and file.resolve().parent == folder.resolve():
        raise OutputError(f"{file} is a file of the run itself; give another file with --json")


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
