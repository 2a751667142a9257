"""The photos and shards that an address names, and the error of a search that broke off."""

import glob
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from incdet.cluster.given_folders import is_shard
from incdet.errors import DataError, ImageError, reason
from incdet.runtime.addresses import full_address, open_address
from incdet.runtime.photo_search import SUFFIXES, is_hidden_folder


class SearchError(DataError):
    """A search of the inputs that broke off, so that nobody knows which photos are missing."""


def broken_off(given: str, error: Exception) -> SearchError:
    """Returns the error about a search that broke off.

    Args:
        given: The input that was searched.
        error: The error that ended the search.
    """
    return SearchError(
        f"cannot list all of {given}: {reason(error)}; check your access to it and run again, which keeps what is done"
    )


def search_address(given: str, failures: list[str]) -> Iterator[str]:
    """Yields the addresses of the photos and shards that an address names: a file, a pattern, or all below a folder.

    Args:
        given: The address.
        failures: Takes sentences about folders that may not be read.

    Raises:
        ImageError: There is no such address.
        SearchError: The search broke off.
    """
    file_system, path = open_address(given)
    try:
        if glob.has_magic(path):
            found: Iterable[str] = _matches(file_system, path, failures)
        # asked for in this way, because `isfile` and `exists` take every error for a file that is not there
        elif file_system.info(path)["type"] == "file":
            found = [path]
        else:
            found = _files_below(file_system, path, failures)
        for each in found:
            if is_shard(each) or _has_photo_suffix(each):
                yield full_address(given, file_system, each)
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"cannot read {given}: there is no such file or folder; check the address") from None
    except ImageError:
        raise
    except Exception as error:  # drivers have errors of their own
        raise broken_off(given, error) from None


def _matches(file_system: Any, pattern: str, failures: list[str]) -> Iterator[str]:
    """Yields the files that a pattern matches, without hidden ones below its first wildcard.

    The driver's own `glob` takes a folder that it cannot list for an empty one.
    """
    from fsspec.utils import glob_translate

    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    depth = None if "**" in parts else len(parts) - first
    try:
        expression = re.compile(glob_translate(pattern.lstrip("/")))
    except ValueError as error:
        raise ImageError(f"cannot read the pattern {pattern}: {reason(error)}; correct it") from None
    for path in _files_below(file_system, "/".join(parts[:first]), failures, depth):
        if expression.match(path.lstrip("/")):
            yield path


def _files_below(
    file_system: Any, folder: str, failures: list[str], depth: int | None = None, is_given: bool = True
) -> Iterator[str]:
    """Yields the files below a folder of a file system, folder by folder, without hidden ones.

    The driver's own `walk` takes a folder that it cannot list for an empty one.

    Args:
        file_system: The file system.
        folder: The folder.
        failures: Takes sentences about folders that may not be read.
        depth: Largest number of folders on the way to a file, the first one included; None is no limit.
        is_given: Whether the user named this very folder; one that was found may be somebody else's.
    """
    try:
        entries = file_system.ls(folder, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        if is_given:
            raise
        # somebody has removed it meanwhile
        return
    except PermissionError as error:
        if is_given:
            raise
        failures.append(f"cannot read the folder {folder}: {reason(error)}; check your access to it")
        return
    folders: list[str] = []
    for entry in sorted(entries, key=lambda entry: str(entry["name"])):
        path = str(entry["name"]).rstrip("/")
        name = path.rpartition("/")[2]
        # object stores list a folder's own mark among its files
        if path.strip("/") == folder.strip("/"):
            continue
        if entry["type"] == "directory":
            if not is_hidden_folder(name):
                folders.append(path)
        elif name and not name.startswith("."):
            yield path
    if depth == 1:
        return
    for inside in folders:
        yield from _files_below(file_system, inside, failures, None if depth is None else depth - 1, is_given=False)


def _has_photo_suffix(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES
