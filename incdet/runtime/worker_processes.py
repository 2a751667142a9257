"""Work that other processes of this machine do: one mechanism for everything but the loaders of training."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

from incdet.runtime.visible_text import visible

MAX_WORKERS = 16
"""More would hold more photos than a GPU can ask for, and more networks than memory has room for."""

WORTH_STARTING = 8
"""Entries for each process from which on starting the processes takes less time than they save."""

MAX_FAILED_STARTS = 3
"""Starts of which so few entries came that they were not worth it; after that many this process does the rest."""

Entry = TypeVar("Entry")
Result = TypeVar("Result")
Work = Callable[[Entry], Result]


_max_cores: int | None = None
"""Number of cores that `limit_cores` leaves to this process; None leaves all."""


def num_cores() -> int:
    """Number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if _max_cores is None else min(cores, _max_cores)


def limit_cores(count: int) -> None:
    """Leaves this process a share of the cores, because other processes work on the same machine.

    The number of threads of torch, NumPy and OpenMP follows, unless these libraries are loaded already.

    Args:
        count: number of cores; at least 1.
    """
    global _max_cores
    _max_cores = count
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[variable] = str(count)


def map_in_processes(
    make_work: "Callable[[], Work[Entry, Result]]",
    entries: Iterable[Entry],
    num_processes: int,
    work_here: "Work[Entry, Result]",
) -> Iterator[tuple[Entry, Result]]:
    """Every entry with its result, in order; processes work a few entries ahead of who consumes the results.

    Each process works on one entry at a time, and twice as many entries as processes are held at most. Ctrl-C is not
    theirs to answer, and they end when this process ends. Should one die, for example for lack of memory, this process
    does as many of the waiting entries as there were processes, because one of them is what it died of, and others are
    started for the rest. Where they die again and again, this process does everything.

    Args:
        make_work: gives the function of an entry; called once in each process, so that what all entries need, such as
            networks, is loaded once. It is pickled, so it is a function of a module, a `partial` of one, or an object.
        entries: read as the results are consumed; those that cannot be pickled are done here.
        num_processes: number of processes; 0 does every entry here, when its result is asked for.
        work_here: the same function for entries that this process does. An entry whose work raised an exception
            elsewhere is done here again, which then raises it from its own place.
    """
    remaining, failed_starts = iter(entries), 0
    while num_processes and failed_starts < MAX_FAILED_STARTS:
        num_done, lost = yield from _work_ahead(make_work, remaining, num_processes, work_here)
        if not lost:
            return
        for entry in lost[:num_processes]:
            yield entry, work_here(entry)
        remaining = chain(lost[num_processes:], remaining)
        failed_starts += num_done < WORTH_STARTING * num_processes
    for entry in remaining:
        yield entry, work_here(entry)


def _work_ahead(
    make_work: "Callable[[], Work[Entry, Result]]",
    entries: Iterator[Entry],
    num_processes: int,
    work_here: "Work[Entry, Result]",
) -> Generator[tuple[Entry, Result], None, tuple[int, list[Entry]]]:
    """Yields results until the entries end or a process dies.

    Returns:
        Number of entries done, and the entries that were under way when a process died; none at the end.
    """
    # spawned, not forked: a fork of a process in which libraries have started threads waits for them forever
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_processes, context, initializer=_start_worker, initargs=(make_work,))
    under_way: deque[tuple[Entry, Future[Result] | None]] = deque()
    num_done = 0
    try:
        while True:
            for entry in islice(entries, 2 * num_processes - len(under_way)):
                under_way.append((entry, _submit(pool, entry)))
            if not under_way:
                return num_done, []
            entry, future = under_way[0]
            if future is None:
                return num_done, [waiting for waiting, _ in under_way]
            try:
                result = future.result()
            except BrokenProcessPool:
                return num_done, [waiting for waiting, _ in under_way]
            except Exception:
                # the work's own exception, or an entry or a result that cannot be pickled
                result = work_here(entry)
            under_way.popleft()
            num_done += 1
            yield entry, result
    finally:
        # a process of multiprocessing closes the pool's queues when it ends, maybe before the pool has told its workers
        # to end, for whom it would then wait forever; other processes end the pool first, so nobody has to wait here
        is_worker_itself = multiprocessing.parent_process() is not None
        pool.shutdown(wait=is_worker_itself, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, entry: Any) -> "Future[Any] | None":
    """Hands an entry to the processes; None where none can be started any more."""
    try:
        with interrupts_blocked():
            return pool.submit(_work_on, entry)
    except (BrokenProcessPool, OSError):
        return None


_worker_function: Callable[[Any], Any]
"""The function of an entry, in a worker process."""


def _start_worker(make_work: Callable[[], Callable[[Any], Any]]) -> None:
    global _worker_function
    follow_parent()
    # on the terminal of the parent, which shows warnings in one line
    warnings.formatwarning = _in_one_line
    _worker_function = make_work()


def _in_one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {visible(' '.join(str(message).split()))}\n"


def _work_on(entry: Any) -> Any:
    return _worker_function(entry)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Spares processes that are started in the block Ctrl-C, which reaches this process after the block."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent() -> None:
    """Makes a worker ignore Ctrl-C, which reaches all processes of a terminal, and end when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
