"""Numbers as they are written to files."""

from typing import Any

import numpy as np


def shortest_decimals(values: np.ndarray) -> list[Any]:
    """float32 array [...] -> nested lists of the shortest decimals that give the same float32 when read again.

    >>> shortest_decimals(np.array([[0.1, 2]], np.float32))
    [[0.1, 2.0]]
    """
    if values.ndim > 1:
        return [shortest_decimals(row) for row in values]
    return [float(str(value)) for value in values]
