"""The inputs of a cluster's run as a stream of photos and shards, of which only a few are held at a time."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from incdet.errors import ImageError, IncdetError, reason
from incdet.output.result_pictures import ResultPictures
from incdet.runtime.addresses import full_address, is_address, open_address, read_part
from incdet.runtime.photo_search import (
    SUFFIXES,
    PassedOver,
    is_hidden_folder,
    is_photo_file,
    is_searched_folder,
)
from incdet.runtime.shard_photos import ShardPhoto

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""Endings of tar shards."""

IN_SHARD = "bytes "
"""Beginning of a place inside a tar shard; first byte, number of bytes and shard follow: `bytes 512+900:/a.tar`."""

LIST_SUFFIX = ".txt"
"""Ending of list files: one path or address a line."""

_SORTED_TOGETHER = 50_000
"""Number of a folder's entries that are sorted at a time, so that the order of usual folders is that of their names and
the memory for huge ones stays bounded."""

_REMEMBERED = 2_000_000
"""Number of lines of list files in which a repeated line is noticed."""


@dataclass(frozen=True)
class ListedPhoto:
    """A photo of the inputs.

    Attributes:
        name: Name in the results: the path or address as the inputs lead to it.
        place: Absolute path or address that workers read.
    """

    name: str
    place: str


@dataclass(frozen=True)
class ListedShard:
    """A tar file of photos, which is worked on as a whole; its photos are found by the worker that reads it.

    Attributes:
        name: Name in the results, followed by a slash and the photo's name in the tar file.
        place: Absolute path or address that workers read.
    """

    name: str
    place: str


Listed = ListedPhoto | ListedShard


class Inputs(Protocol):
    """Photos and shards as a stream, and what went wrong on the way.

    Attributes:
        failures: Sentences about inputs that name no photo; complete when the stream has ended.
    """

    failures: list[str]

    def __iter__(self) -> Iterator[Listed]:
        """Yields the photos and shards."""


@dataclass
class PhotoInputs:
    """Folders, photos, patterns, list files, tar shards and addresses.

    Attributes:
        given: The inputs as the user gave them.
        failures: Sentences about inputs that name no photo; grows during the search.
        passed_over: Entries of folders that were passed over; grows during the search.
    """

    given: Sequence[str]
    failures: list[str] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver)
    _made_by_incdet: ResultPictures = field(default_factory=ResultPictures)

    def __iter__(self) -> Iterator[Listed]:
        for given in _without_nested(self.given):
            found = False
            try:
                for listed in self._expand(given):
                    found = True
                    yield listed
                if not found:
                    raise ImageError(f"{given} holds no photos and no tar shards; check it")
            except IncdetError as error:
                self.failures.append(str(error))

    def local_places(self) -> list[str]:
        """Returns the absolute paths of the inputs that every node must see."""
        paths = [given for given in self.given if not is_address(given) and not glob.has_magic(given)]
        return [str(Path(path).absolute()) for path in paths if Path(path).exists()]

    def _expand(self, given: str) -> Iterator[Listed]:
        """Yields what one input names.

        Raises:
            IncdetError: The input cannot be read.
        """
        if not given:
            raise ImageError("cannot read '': the path is empty; give a file, a folder, a pattern or an address")
        if given.lower().endswith(LIST_SUFFIX):
            yield from self._lines_of(given)
        elif is_address(given):
            yield from _at_address(given, self.failures)
        elif Path(given).is_dir():
            yield from map(_listed, self._in_folder(given))
        elif not Path(given).exists() and glob.has_magic(given):
            for match in glob.iglob(given, recursive=True):
                is_folder = Path(match).is_dir()
                yield from map(_listed, self._in_folder(match)) if is_folder else (_listed(match),)
        elif Path(given).exists():
            yield _listed(given)
        else:
            raise ImageError(f"cannot read {given}: there is no such file or folder; check the path")

    def _lines_of(self, given: str) -> Iterator[Listed]:
        """Yields the photos and shards of a list file, each once."""
        seen: set[int] = set()
        for line in _read_lines(given):
            key = hash(line)
            if key in seen:
                continue
            if len(seen) < _REMEMBERED:
                seen.add(key)
            yield _listed(line)

    def _in_folder(self, folder: str) -> Iterator[str]:
        """Yields the photos and shards in a folder and its subfolders, as a search on one machine finds them."""
        folders: list[str] = []
        try:
            with os.scandir(folder) as entries:
                while chunk := sorted(islice(entries, _SORTED_TOGETHER), key=lambda entry: entry.name):
                    for entry in chunk:
                        path = Path(folder, entry.name)
                        if entry.is_dir():
                            if is_searched_folder(path, self.passed_over):
                                folders.append(str(path))
                        elif _is_shard(entry.name) or self._is_photo(path):
                            yield str(path)
        except OSError as error:
            self.failures.append(f"cannot read the folder {folder}: {reason(error)}; check its rights")
        for inside in folders:
            yield from self._in_folder(inside)

    def _is_photo(self, path: Path) -> bool:
        return is_photo_file(path, self.passed_over) and path not in self._made_by_incdet


def _without_nested(given: Sequence[str]) -> list[str]:
    """Returns the inputs without repeated ones and those inside a folder that is given, too."""
    kept: list[str] = []
    folders = {Path(path).absolute() for path in given if not is_address(path) and path and Path(path).is_dir()}
    for path in given:
        is_inside = not is_address(path) and any(folder in Path(path).absolute().parents for folder in folders)
        if path not in kept and not is_inside:
            kept.append(path)
    return kept


def _listed(name: str) -> Listed:
    """Returns the entry of a path or an address."""
    place = name if is_address(name) else str(Path(name).absolute())
    return ListedShard(name, place) if _is_shard(name) else ListedPhoto(name, place)


def photo_of_path(name: str, path: Path) -> ListedPhoto:
    """Returns the entry of a data set's photo, which may lie inside a tar shard.

    Args:
        name: Name in the results.
        path: Path of the photo.
    """
    if not isinstance(path, ShardPhoto):
        return ListedPhoto(name, str(path.absolute()))
    shard = path.shard.place
    place = shard if is_address(shard) else str(Path(shard).absolute())
    return ListedPhoto(name, f"{IN_SHARD}{path.start}+{path.size}:{place}")


def _is_shard(name: str) -> bool:
    return name.lower().endswith(SHARD_SUFFIXES) and not name.rpartition("/")[2].startswith(".")


def _read_lines(given: str) -> Iterator[str]:
    """Yields the lines of a list file without white space; empty lines and those that begin with "#" are left out.

    Raises:
        ImageError: The list cannot be read.
    """
    try:
        if is_address(given):
            lines: Iterable[str] = read_part(given).decode("utf-8-sig", errors="surrogateescape").splitlines()
            yield from _meant(lines)
            return
        with Path(given).open(encoding="utf-8-sig", errors="surrogateescape") as stream:
            yield from _meant(stream)
    except IncdetError:
        raise
    except Exception as error:  # drivers of addresses have errors of their own
        raise ImageError(f"cannot read the list {given}: {reason(error)}; check the path") from None


def _meant(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def _at_address(given: str, failures: list[str]) -> Iterator[Listed]:
    """Yields what an address names: a photo, a shard, a pattern, or everything below a folder.

    Raises:
        ImageError: The address cannot be read.
    """
    file_system, path = open_address(given)
    try:
        if glob.has_magic(path):
            found: Iterable[str] = (str(match) for match in file_system.glob(path))
        elif file_system.isfile(path):
            found = [path]
        else:
            found = _files_below(file_system, path)
        for each in found:
            if _is_shard(each) or _has_photo_suffix(each):
                yield _listed(full_address(given, file_system, each))
    except Exception as error:  # drivers have errors of their own
        raise ImageError(f"cannot read {given}: {reason(error)}; check the address and your access to it") from None


def _files_below(file_system: Any, path: str) -> Iterator[str]:
    """Yields the files below a folder of a file system, folder by folder, without hidden ones."""
    if not file_system.exists(path):
        raise FileNotFoundError("there is no such file or folder")
    for folder, folders, files in file_system.walk(path, topdown=True, detail=True):
        # `walk` goes on with the folders that stay in the dictionary
        for name in [name for name in folders if is_hidden_folder(name)]:
            del folders[name]
        for name in sorted(files):
            if name and not name.startswith("."):
                yield f"{folder}/{name}" if folder else name


def _has_photo_suffix(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES
