"""The listing of all inputs, stored in numbered parts: the units of work, of resuming, and of the results.

A part is written as soon as its photos are known, so that work begins long before the last input is found, and it never
changes afterwards. Neither the listing nor its parts are held in memory.
"""

import gzip
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from incdet.cluster.address_search import SearchError
from incdet.cluster.photo_inputs import Listed, ListedPhoto, ListedShard
from incdet.cluster.result_store import ResultStore, write_content
from incdet.errors import OutputError

STATE_FOLDER = "_incdet"
"""Folder of a run's own files. Readers of Parquet data sets leave out names that begin with an underscore."""

LISTING_FILE = f"{STATE_FOLDER}/listing.json"
"""File that says that the listing is complete, and how large it is."""

MAX_PART_SIZE = 256
"""Number of photos of a part where the user names none and there are many photos."""

PARTS_PER_WORKER = 4
"""Number of parts for each worker where there are few photos, so that all workers end at about the same time."""


def listing_name(number: int) -> str:
    """Returns the name of a part of the listing."""
    return f"{STATE_FOLDER}/listing/part-{number:06d}.jsonl.gz"


def read_listing_part(store: ResultStore, number: int) -> list[Listed]:
    """Reads the photos of a part, or the one shard that it is.

    Raises:
        OutputError: The part is missing or damaged.
    """
    content = store.read(listing_name(number))
    try:
        if content is None:
            raise FileNotFoundError
        entries = [json.loads(line) for line in gzip.decompress(content).decode().splitlines()]
        return [_entry_from_json(entry) for entry in entries]
    except (OSError, EOFError, ValueError, TypeError, KeyError):
        raise OutputError(
            f"cannot read part {number} of the listing in {store.place}: it is missing or damaged; give another place "
            "with --output, or --overwrite"
        ) from None


def _entry_from_json(entry: Any) -> Listed:
    return ListedShard(*entry["shard"]) if isinstance(entry, dict) else ListedPhoto(*entry)


def _part_content(entries: Iterable[Listed]) -> bytes:
    """Returns the file of a part; equal entries give equal bytes."""
    lines = []
    for entry in entries:
        both = [entry.name, entry.place]
        lines.append(json.dumps({"shard": both} if isinstance(entry, ListedShard) else both) + "\n")
    return gzip.compress("".join(lines).encode(), compresslevel=1, mtime=0)


def divide_into_parts(inputs: Iterable[Listed], part_size: int) -> Iterator[list[Listed]]:
    """Yields the photos part by part; every shard is a part of its own.

    Args:
        inputs: Photos and shards.
        part_size: Largest number of photos of a part.
    """
    part: list[Listed] = []
    for entry in inputs:
        if isinstance(entry, ListedShard):
            yield [entry]
            continue
        part.append(entry)
        if len(part) == part_size:
            yield part
            part = []
    if part:
        yield part


def choose_part_size(inputs: Iterator[Listed], num_workers: int) -> tuple[int, Iterator[Listed]]:
    """Chooses the size of parts by the first photos.

    Args:
        inputs: Photos and shards.
        num_workers: Number of workers that share the parts.

    Returns:
        The size, and all inputs again.
    """
    most = MAX_PART_SIZE * PARTS_PER_WORKER * num_workers
    first = list(islice(inputs, most))
    num_photos = sum(isinstance(entry, ListedPhoto) for entry in first)
    size = -(-num_photos // (PARTS_PER_WORKER * num_workers))
    return min(max(size, 1), MAX_PART_SIZE), chain(first, inputs)


class Listing:
    """The listing of a run, which another thread writes while parts of it are worked on.

    Where a listing was interrupted, the inputs are searched again: parts that come out the same are kept. From the
    first part on that differs, because the inputs have changed meanwhile, the earlier parts are forgotten. That is
    refused where an input cannot be found, because it may hold what the earlier parts list.

    Args:
        store: Place of the results.
        forget: Function that forgets the results of a part that now lists other photos.

    Attributes:
        num_parts: Number of parts that are listed so far.
        num_photos: Number of photos in them, without those in shards.
        has_shards: Whether there are shards, whose photos are counted only when they are read.
        is_complete: Whether that is all.
        has_changed: Whether the inputs were found changed since an interrupted listing.
        failures: Sentences about inputs that name no photo, once the listing is complete.
    """

    def __init__(self, store: ResultStore, forget: Callable[[int], None]) -> None:
        self._store, self._forget = store, forget
        self.num_parts = self.num_photos = 0
        self.has_shards = self.is_complete = self.has_changed = False
        self.failures: list[str] = []
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> bool:
        """Takes over a complete listing of an earlier run, and returns whether there is one."""
        content = self._store.read(LISTING_FILE)
        if content is None:
            return False
        stored = json.loads(content)
        self.num_parts, self.num_photos = stored["num_parts"], stored["num_photos"]
        self.has_shards, self.failures = stored["has_shards"], stored["failures"]
        self.is_complete = True
        return True

    def start(self, inputs: Iterable[Listed], part_size: int, failures: list[str]) -> None:
        """Begins to write the listing in another thread.

        Args:
            inputs: Photos and shards.
            part_size: Largest number of photos of a part.
            failures: List to which the inputs add sentences while they are read.
        """
        self.failures = failures
        self._thread = threading.Thread(target=self._write_all, args=(inputs, part_size), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the search, complete or not, and waits for that."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def check(self) -> None:
        """Raises the error that the search has ended with, if any."""
        if self._error is not None:
            raise self._error

    def _write_all(self, inputs: Iterable[Listed], part_size: int) -> None:
        try:
            for entries in divide_into_parts(inputs, part_size):
                if self._stopped.is_set():
                    return
                self._write(self.num_parts, _part_content(entries))
                if isinstance(entries[0], ListedShard):
                    self.has_shards = True
                else:
                    self.num_photos += len(entries)
                # the part can be worked on from now on
                self.num_parts += 1
            self._forget_following()
            state = {
                "num_parts": self.num_parts,
                "num_photos": self.num_photos,
                "has_shards": self.has_shards,
                "failures": self.failures,
            }
            write_content(self._store, LISTING_FILE, json.dumps(state).encode())
            self.is_complete = True
        except BaseException as error:  # the thread that waits for parts tells it
            self._error = error

    def _write(self, number: int, content: bytes) -> None:
        stored = self._store.read(listing_name(number))
        if stored == content and not self.has_changed:
            return
        if stored is not None:
            self._change(number)
        write_content(self._store, listing_name(number), content)

    def _forget_following(self) -> None:
        """Forgets parts of an interrupted listing that are not there any more."""
        number = self.num_parts
        while self._store.read(listing_name(number)) is not None:
            self._change(number)
            self._store.remove(listing_name(number))
            number += 1

    def _change(self, number: int) -> None:
        """Forgets the results of a part that an interrupted listing had and that is not the same any more.

        Raises:
            SearchError: An input cannot be found, such as a share that is not mounted now.
        """
        if self.failures:
            raise SearchError(
                f"cannot go on with the interrupted listing in {self._store.place}: it has other photos, and an input "
                f"is missing now ({self.failures[0]}); bring the input back, or give --overwrite"
            )
        self.has_changed = True
        self._forget(number)
