"""Work that the threads of this process share."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch

MAX_THREADS = 256
"""Beside the one that asks; parts that get none wait for one."""

Entry = TypeVar("Entry")
Result = TypeVar("Result")


def split_among_threads(work: Callable[[slice], None], count: int, least: int) -> None:
    """Calls `work` with slices that together are `range(count)`, in as many threads as torch has.

    Args:
        work: on some of the rows; only what lets go of Python's lock, as a `kernel` does, runs side by side.
        count: rows.
        least: a thread is not worth starting for fewer.
    """
    number = max(min(torch.get_num_threads(), count // least), 1)
    ends = np.linspace(0, count, number + 1).astype(int)
    parts = [slice(*pair) for pair in pairwise(ends)]
    others = [_pool(os.getpid()).submit(work, part) for part in parts[1:]]
    try:
        work(parts[0])
    finally:
        wait(others)
    for other in others:
        other.result()  # raises what it raised


@cache
def _pool(_: int) -> ThreadPoolExecutor:
    """Threads of this process, of which a fork has none: starting them for every batch takes as long as cutting one.

    They start when needed, so there are never more than parts under way.
    """
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="incdet")


def map_in_threads(work: Callable[[Entry], Result], entries: Iterable[Entry], num_threads: int) -> Iterator[Result]:
    """What `work` makes of every entry, in order, while this thread goes on to the next entries.

    Args:
        work: on an entry.
        entries: whatever takes its time in this thread.
        num_threads: as many entries are worked on at a time; with 0, each here before the next one is asked for.
    """
    if not num_threads:
        yield from map(work, entries)
        return
    under_way: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        for entry in entries:
            under_way.append(pool.submit(work, entry))
            while under_way and (len(under_way) > num_threads or under_way[0].done()):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
