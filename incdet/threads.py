"""Work on many rows that the threads of this process share."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch


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
    with ThreadPoolExecutor(number) as pool:
        others = pool.map(work, parts[1:])
        work(parts[0])
    # raises what they raised
    list(others)
