"""The photos that a command is given: files, folders, patterns, and one on standard input.

They are found before any network is loaded, so that a wrong path is told at once.
"""

import glob
import hashlib
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from incdet.config.sections import ImagesConfig
from incdet.errors import ImageError, reason
from incdet.images import find_images, read_image
from incdet.output.result_pictures import ResultPictures
from incdet.runtime.urls import missing_file_hint
from incdet.structures import Image

STDIN_ARGUMENT = "-"
"""The argument that stands for a photo on standard input."""

STDIN_PHOTO = Path("stdin")
"""Name of that photo in results."""


class GivenPhotos:
    """The photos of one command.

    Attributes:
        files: Files of the photos, each once; `STDIN_PHOTO` stands for standard input.
        failures: Sentences about paths that name no photo.
        notes: Sentences that count what searches of folders passed over.

    Args:
        paths: Files, folders and patterns as the user gave them, or "-".
        config: The size limit, for the photo on standard input; default 100 megapixels.
    """

    def __init__(self, paths: Sequence[str], config: ImagesConfig | None = None) -> None:
        self.failures: list[str] = []
        self.notes: list[str] = []
        self._piped: Image | None = None
        self._names: dict[Path, str] = {STDIN_PHOTO: str(STDIN_PHOTO)}
        self._made_by_incdet = ResultPictures()
        found: dict[Path, Path] = {}
        for path in paths:
            try:
                if path == STDIN_ARGUMENT:
                    # a second "-" is the same photo
                    self._piped = self._piped or _read_standard_input(config)
                    found[STDIN_PHOTO] = STDIN_PHOTO
                    continue
                for photo in self._search(path):
                    _require_file(path, photo)
                    if found.setdefault(photo.absolute(), photo) is photo:
                        self._names[photo] = _name_below(photo, path)
            except ImageError as error:
                self.failures.append(str(error))
        self.files = list(found.values())

    def _search(self, path: str) -> list[Path]:
        """Returns the photos of one path, without the pictures that incdet made.

        Raises:
            ImageError: The path names no photo, or nothing but such pictures.
        """
        found = find_images([path], self.failures.append, self.notes.append)
        photos = [photo for photo in found if photo not in self._made_by_incdet]
        if found and not photos:
            raise ImageError(f"{path} holds nothing but pictures that incdet made; give the photos themselves")
        return photos

    def name_in_folder(self, photo: Path) -> str:
        """Returns the path of one of `files` relative to the folder that was searched; without a folder, its name."""
        return self._names[photo]

    def path_of(self, photo: Path) -> str:
        """Returns the whole path of one of `files`; nothing for the photo that came on standard input."""
        return "" if photo is STDIN_PHOTO else str(photo.absolute())

    def source(self, photo: Path) -> Path | Image:
        """Returns what is read for one of `files`: the file itself, or the photo that came on standard input."""
        return self._piped if photo is STDIN_PHOTO and self._piped is not None else photo

    def identity(self, photo: Path) -> str:
        """Returns a text of size and time of a photo's file, by which another photo in its place is noticed."""
        source = self.source(photo)
        if isinstance(source, Image):
            return hashlib.sha256(source.pixels.tobytes()).hexdigest()
        with suppress(OSError):
            status = source.stat()
            return f"{status.st_size} bytes, {status.st_mtime_ns}"
        return "no file"


def _read_standard_input(config: ImagesConfig | None) -> Image:
    """Reads one photo from standard input.

    Raises:
        ImageError: Nothing is sent there, or no photo.
    """
    if sys.stdin is None or sys.stdin.isatty():
        found = "it is closed" if sys.stdin is None else "it is a terminal"
        raise ImageError(
            f"cannot read a photo from standard input: {found}; write detect - < photo.jpg, or give the file"
        )
    try:
        content = sys.stdin.buffer.read()
    except OSError as error:
        raise ImageError(f"cannot read standard input: {reason(error)}; give the file of the photo") from None
    if not content:
        raise ImageError("cannot read a photo from standard input: it is empty; send the bytes of one photo")
    try:
        return Image(read_image(content, config).pixels, str(STDIN_PHOTO))
    except ImageError as error:
        # reading names its source "bytes"
        raise ImageError(str(error).replace("bytes", "standard input", 1)) from None


def _require_file(given: str, photo: Path) -> None:
    """Raises ImageError where a path is no file; what folders and patterns hold is known to be there.

    Args:
        given: The path as the user gave it.
        photo: The photo that it names.
    """
    if photo != Path(given):
        return
    try:
        photo.stat()
    except FileNotFoundError:
        found = missing_file_hint(given, "there is no such file or folder; check the path")
        raise ImageError(f"cannot read {given}: {found}") from None
    except (OSError, ValueError) as error:
        found = missing_file_hint(given, f"{reason(error)}; check the file's name and permissions")
        raise ImageError(f"cannot read {given}: {found}") from None


def _name_below(photo: Path, given: str) -> str:
    """Returns the path of a photo below the folder that was searched for it, with forward slashes.

    Args:
        photo: The photo.
        given: The folder, pattern or file that names it.
    """
    folder = Path(given)
    if photo == folder:
        return photo.name
    # a pattern searches the folder before its first part with a wildcard
    while glob.has_magic(str(folder)) and not folder.is_dir():
        folder = folder.parent
    try:
        return photo.relative_to(folder).as_posix()
    except ValueError:
        return str(photo)
