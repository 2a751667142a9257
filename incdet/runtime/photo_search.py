"""The photos that files, folders and glob patterns name, and what a search of folders passes over."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from incdet.errors import ImageError, reason
from incdet.runtime.counted_words import counted
from incdet.runtime.provenance import holds_results
from incdet.runtime.shard_photos import ShardPhoto
from incdet.runtime.urls import missing_file_hint

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""File endings that count as images when a folder is read."""

OTHER_SUFFIXES = frozenset(
    {
        *(".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".ico", ".tga", ".pcx", ".psd", ".xcf", ".svg"),
        *(".eps", ".ai", ".exr", ".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".raw"),
    }
)
"""File endings of image formats that are not read, which a search of folders counts."""

_FOREIGN_FOLDERS = frozenset({"__MACOSX"})
"""Folders in archives that hold a system's own notes about the files beside them."""


Tell = Callable[[str], None]
"""Takes one sentence."""


@dataclass
class PassedOver:
    """The entries of folders that a search passes over, although somebody may have meant them as photos.

    Attributes:
        dangling_links: Number of links with a photo's ending that lead nowhere.
        linked_folders: Number of links to folders, which are not followed, because they may lead in circles.
        other_formats: Number of files of image formats that are not read.
        example: The first of them; None where there are none.
    """

    dangling_links: int = 0
    linked_folders: int = 0
    other_formats: int = 0
    example: Path | None = None

    def sentence(self) -> str | None:
        """Returns one line about all of them, None where there are none."""
        kinds = (
            (self.dangling_links, "dangling link", "dangling links"),
            (self.linked_folders, "linked folder", "linked folders"),
            (self.other_formats, "file of another image format", "files of other image formats"),
        )
        counts = [counted(number, one, many) for number, one, many in kinds if number]
        return f"passed over in folders: {', '.join(counts)} (such as {self.example})" if counts else None


def find_images(sources: Iterable[str | Path], tell: Tell | None = None, note: Tell | None = None) -> list[Path]:
    """Finds the photos that files, folders and glob patterns name, sorted within each, no file twice.

    Folders are searched recursively. Hidden folders inside them and those that hold incdet's own results are left out,
    and so are empty folders that a pattern matches. A plain path is returned as it is, even when missing, so that
    reading it reports the error.

    Args:
        sources: The files, folders and patterns.
        tell: Function that takes a sentence about every folder inside that cannot be read. Without it the first such
            folder is an error.
        note: Function that takes a sentence that counts what the search of folders has passed over. Without it nothing
            is said, unless no photo is found.

    Raises:
        ImageError: A folder has no photos, or a pattern matches nothing.
    """
    found: dict[Path, Path] = {}
    passed_over = PassedOver()
    for source in sources:
        if not str(source):
            raise ImageError("cannot read '': the path is empty; give a file, a folder or a pattern")
        require_no_address(source)
        for path in _expand(Path(source), tell or _refuse, passed_over):
            found.setdefault(path.absolute(), path)
    sentence = passed_over.sentence()
    if sentence is not None and note is not None:
        note(sentence)
    return list(found.values())


def require_no_address(source: str | Path) -> None:
    """Raises ImageError for an address on the internet, which a path would not even show as it was given.

    The shard of a photo may lie at one, because it has been opened there.
    """
    if isinstance(source, ShardPhoto):
        return
    hint = missing_file_hint(source, "")
    if hint:
        raise ImageError(f"cannot read {source}: {hint}")


def is_hidden_folder(name: str) -> bool:
    """Whether a folder of this name holds a program's or a system's own files and no photos."""
    return name.startswith(".") or name in _FOREIGN_FOLDERS


def _refuse(sentence: str) -> None:
    raise ImageError(sentence)


def _expand(path: Path, tell: Tell, passed_over: PassedOver) -> Iterator[Path]:
    """Yields the photos that one file, folder or pattern names. A file whose name looks like a pattern is a file."""
    if _exists(path, Path.is_dir):
        photos = _photos_under(path, tell, passed_over)
        if not photos:
            more = passed_over.sentence()
            raise ImageError(
                f"the folder {path} holds no photos; expected files ending in {' '.join(sorted(SUFFIXES))}"
                + (f"; {more}" if more else "")
            )
        yield from photos
    elif not _exists(path, Path.exists) and glob.has_magic(str(path)):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise ImageError(f"the pattern {path} matches no file; check its folder and its spelling")
        found: list[Path] = []
        for match in map(Path, matches):
            found += _photos_under(match, tell, passed_over) if match.is_dir() else [match]
        if not found:
            raise ImageError(f"the pattern {path} matches only folders without photos; check it")
        yield from found
    else:
        yield path


def _photos_under(folder: Path, tell: Tell, passed_over: PassedOver) -> list[Path]:
    """Returns all photos in a folder and its subfolders, sorted, and counts what is passed over."""
    found: list[Path] = []
    unreadable: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        # os.walk goes on with the folders that stay in the list
        folders[:] = [name for name in sorted(folders) if is_searched_folder(Path(parent, name), passed_over)]
        for file in (Path(parent, name) for name in sorted(files)):
            if is_photo_file(file, passed_over):
                found.append(file)
    sentences = [f"cannot read the folder {error.filename}: {reason(error)}; check its rights" for error in unreadable]
    if sentences and not found:
        raise ImageError(sentences[0])
    for sentence in sentences:
        tell(sentence)
    return sorted(found)


def _exists(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Returns the result of Path.exists or Path.is_dir; false for a name that the system cannot have."""
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


def is_searched_folder(folder: Path, passed_over: PassedOver) -> bool:
    """Whether a folder inside another one is searched."""
    if is_hidden_folder(folder.name) or holds_results(folder):
        return False
    if folder.is_symlink():
        passed_over.linked_folders += 1
        passed_over.example = passed_over.example or folder
        return False
    return True


def is_photo_file(file: Path, passed_over: PassedOver) -> bool:
    """Whether a file's ending is that of a photo. Hidden files are none: macOS puts `._photo.jpg` beside photos."""
    if file.name.startswith("."):
        return False
    suffix = file.suffix.lower()
    if suffix in OTHER_SUFFIXES:
        passed_over.other_formats += 1
    elif suffix in SUFFIXES and file.is_symlink() and not file.exists():
        passed_over.dangling_links += 1
    else:
        return suffix in SUFFIXES and file.is_file()
    passed_over.example = passed_over.example or file
    return False
