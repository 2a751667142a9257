"""Entries that threads work on while the caller takes the next ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Entry = TypeVar("Entry")
Result = TypeVar("Result")


def map_in_threads(work: Callable[[Entry], Result], entries: Iterable[Entry], num_threads: int) -> Iterator[Result]:
    """The results of all entries, in order, which other threads make while this one takes the next entries.

    Args:
        work: makes the result of an entry.
        entries: the entries; taking one may last in this thread.
        num_threads: number of entries that are worked on at a time; with 0 this thread works on each entry before it
            takes the next one.
    """
    if not num_threads:
        yield from map(work, entries)
        return
    under_way: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        for entry in entries:
            under_way.append(pool.submit(work, entry))
            # results that are ready go out, and no more entries than threads are held
            while under_way and (len(under_way) > num_threads or under_way[0].done()):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
