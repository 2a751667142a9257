"""The inputs of a cluster's run as a stream of photos and shards, of which only a few are held at a time."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from incdet.cluster.address_search import SearchError, broken_off, search_address
from incdet.cluster.given_folders import GivenFolders, is_shard
from incdet.errors import ImageError, IncdetError, reason
from incdet.output.result_pictures import ResultPictures
from incdet.runtime.addresses import is_address, read_part
from incdet.runtime.photo_search import PassedOver, is_photo_file, is_searched_folder
from incdet.runtime.shard_photos import ShardPhoto

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
        """Yields the photos and shards.

        Raises:
            SearchError: The search broke off, so that what was yielded is not all.
        """


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
        folders = GivenFolders(self.given, self._made_by_incdet)
        for given in folders.without_repeated(self.given):
            found = False
            try:
                for listed in self._expand(given, folders):
                    found = True
                    if listed is not None:
                        yield listed
                if not found:
                    raise ImageError(f"{given} holds no photos and no tar shards; check it")
            except SearchError:
                raise
            except IncdetError as error:
                self.failures.append(str(error))
            except OSError as error:
                raise broken_off(given, error) from None

    def local_places(self) -> list[str]:
        """Returns the absolute paths of the inputs that every node must see."""
        paths = [given for given in self.given if not is_address(given) and not glob.has_magic(given)]
        return [str(Path(path).absolute()) for path in paths if Path(path).exists()]

    def _expand(self, given: str, folders: GivenFolders) -> Iterator[Listed | None]:
        """Yields what one input names; None for what the search of another input finds.

        Raises:
            SearchError: The search broke off.
            IncdetError: There is no such input.
        """
        if not given:
            raise ImageError("cannot read '': the path is empty; give a file, a folder, a pattern or an address")
        if given.lower().endswith(LIST_SUFFIX):
            yield from self._lines_of(given)
        elif is_address(given):
            yield from map(_listed, search_address(given, self.failures))
        elif Path(given).is_dir():
            yield from map(_listed, self._in_folder(given))
        elif not Path(given).exists() and glob.has_magic(given):
            for match in glob.iglob(given, recursive=True):
                if folders.find(match):
                    yield None
                elif Path(match).is_dir():
                    yield from map(_listed, self._in_folder(match, is_given=False))
                else:
                    yield _listed(match)
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

    def _in_folder(self, folder: str, is_given: bool = True) -> Iterator[str]:
        """Yields the photos and shards in a folder and its subfolders, as a search on one machine finds them.

        Args:
            folder: The folder.
            is_given: Whether the user named this very folder; one that was found may be somebody else's.

        Raises:
            SearchError: The search broke off.
        """
        folders: list[str] = []
        try:
            with os.scandir(folder) as entries:
                while chunk := sorted(islice(entries, _SORTED_TOGETHER), key=lambda entry: entry.name):
                    for entry in chunk:
                        path = Path(folder, entry.name)
                        if entry.is_dir():
                            if is_searched_folder(path, self.passed_over):
                                folders.append(str(path))
                        elif is_shard(entry.name) or self._is_photo(path):
                            yield str(path)
        except OSError as error:
            # somebody has removed a folder that was found
            if not is_given and isinstance(error, FileNotFoundError | NotADirectoryError):
                return
            # the rights of a folder that was found are the same at every other try
            if is_given or not isinstance(error, PermissionError):
                raise broken_off(folder, error) from None
            self.failures.append(f"cannot read the folder {folder}: {reason(error)}; check its rights")
        for inside in folders:
            yield from self._in_folder(inside, is_given=False)

    def _is_photo(self, path: Path) -> bool:
        return is_photo_file(path, self.passed_over) and path not in self._made_by_incdet


def _listed(name: str) -> Listed:
    """Returns the entry of a path or an address."""
    place = name if is_address(name) else str(Path(name).absolute())
    return ListedShard(name, place) if is_shard(name) else ListedPhoto(name, place)


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


def _read_lines(given: str) -> Iterator[str]:
    """Yields the lines of a list file without white space; empty lines and those that begin with "#" are left out.

    Raises:
        ImageError: There is no such list.
        SearchError: The list cannot be read to its end.
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
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"cannot read the list {given}: there is no such file; check the path") from None
    except Exception as error:  # drivers of addresses have errors of their own
        raise broken_off(given, error) from None


def _meant(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped
