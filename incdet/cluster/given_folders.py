"""Inputs inside folders that are given, too: the search of the folder finds them, so they are not listed twice."""

import os
from collections.abc import Sequence
from pathlib import Path

from incdet.output.result_pictures import ResultPictures
from incdet.runtime.addresses import is_address
from incdet.runtime.photo_search import PassedOver, is_photo_file, is_searched_folder

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""Endings of tar shards."""


def is_shard(name: str) -> bool:
    """Whether a path or an address is that of a tar shard, which is not hidden."""
    return name.lower().endswith(SHARD_SUFFIXES) and not name.rpartition("/")[2].startswith(".")


class GivenFolders:
    """The folders among the inputs.

    Args:
        given: The inputs as the user gave them.
        made_by_incdet: Pictures that no search of folders takes for photos.
    """

    def __init__(self, given: Sequence[str], made_by_incdet: ResultPictures) -> None:
        self._made_by_incdet = made_by_incdet
        self._folders = {_plain(path) for path in given if path and not is_address(path) and Path(path).is_dir()}

    def without_repeated(self, given: Sequence[str]) -> list[str]:
        """Returns the inputs that are neither repeated nor found by the search of another input."""
        kept: dict[str, str] = {}
        for path in given:
            is_path = bool(path) and not is_address(path)
            if not (is_path and self.find(path)):
                kept.setdefault(str(_plain(path)) if is_path else path, path)
        return list(kept.values())

    def find(self, path: str) -> bool:
        """Whether the search of one of the folders finds everything that a path names."""
        plain = _plain(path)
        return any(folder in plain.parents and self._search_reaches(plain, folder) for folder in self._folders)

    def _search_reaches(self, path: Path, folder: Path) -> bool:
        """Whether the search of a folder comes to a file or a folder somewhere below it."""
        # what this look passes over is counted by the search itself
        uncounted = PassedOver()
        is_folder = path.is_dir()
        between = [parent for parent in (path, *path.parents) if folder in parent.parents]
        if not all(is_searched_folder(parent, uncounted) for parent in (between if is_folder else between[1:])):
            return False
        if is_folder or is_shard(path.name):
            return path.exists()
        return is_photo_file(path, uncounted) and path not in self._made_by_incdet


def _plain(path: str) -> Path:
    """Returns the absolute path without "..", unless that leads elsewhere, as it may behind a link."""
    absolute = Path(path).absolute()
    plain = Path(os.path.normpath(absolute))
    try:
        leads_elsewhere = ".." in absolute.parts and not absolute.samefile(plain)
    except OSError:
        leads_elsewhere = True
    return absolute if leads_elsewhere else plain
