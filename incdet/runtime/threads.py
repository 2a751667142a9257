"""Work that the threads of this process share."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

import numpy as np
import torch

MAX_THREADS = 256
"""Largest number of threads beside the calling one; slices that get none wait for one."""


def split_among_threads(work: Callable[[slice], None], num_rows: int, min_rows: int) -> None:
    """Splits rows among as many threads as torch has, this one included, and returns when all are done.

    Args:
        work: does the rows of a slice; only work that lets go of Python's lock, as a `kernel` does, runs side by side.
        num_rows: number of rows; the slices together are `range(num_rows)`.
        min_rows: smallest number of rows for which starting another thread saves time.

    Raises:
        Exception: the first error that `work` raised, after all threads have ended.
    """
    num_slices = max(min(torch.get_num_threads(), num_rows // min_rows), 1)
    ends = np.linspace(0, num_rows, num_slices + 1).astype(int)
    slices = [slice(start, stop) for start, stop in pairwise(ends)]
    futures = [_thread_pool(os.getpid()).submit(work, rows) for rows in slices[1:]]
    # the calling thread does the first slice; the others must have ended even if that fails, because they use its data
    try:
        work(slices[0])
    finally:
        wait(futures)
    for future in futures:
        future.result()  # raises the error of its thread


@cache
def _thread_pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process: a fork has none of its parent's, so each process, given by its id, has a pool.

    The pool stays, because starting threads for every batch takes as long as cutting a crop. Its threads start when
    they are needed, so there are never more than slices under way.
    """
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="incdet")
