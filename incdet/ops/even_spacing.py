"""Evenly spaced picks from a list, in the two ways that incdet needs."""

import numpy as np


def evenly_spaced(length: int, count: int) -> list[int]:
    """Returns `count` different indices at equal steps, the first one 0; all indices where there are no more.

    >>> evenly_spaced(10, 4)
    [0, 2, 5, 7]
    """
    count = min(count, length)
    return [number * length // count for number in range(count)]


def evenly_spaced_with_ends(length: int, count: int) -> np.ndarray:
    """Returns indices [count] int64 at equal steps from the first to the last; fewer where they would repeat.

    >>> evenly_spaced_with_ends(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if length == 0:
        return np.zeros(0, np.int64)
    return np.unique(np.linspace(0, length - 1, count).round().astype(np.int64))
