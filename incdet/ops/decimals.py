"""Numbers in the form in which files hold them."""

import math
from typing import Any

import numpy as np


def shortest_decimals(values: np.ndarray) -> list[Any]:
    """Returns a float32 array [...] as nested lists of the shortest decimals that read back as the same float32.

    >>> shortest_decimals(np.array([[0.1, 2]], np.float32))
    [[0.1, 2.0]]
    """
    if values.ndim > 1:
        return [shortest_decimals(row) for row in values]
    # NumPy prints a float32 with as few digits as identify it among the float32
    return [float(str(value)) for value in values]


def shortest_text(value: float) -> str:
    """Returns the shortest text that reads back as the same float64; whole numbers have no fraction.

    >>> shortest_text(0.1), shortest_text(2.0)
    ('0.1', '2')
    """
    return repr(value).removesuffix(".0")


def plain_number(value: float) -> float | None:
    """Returns a number for JSON, which has no NaN: NaN becomes None.

    >>> plain_number(0.5), plain_number(float("nan"))
    (0.5, None)
    """
    return None if math.isnan(value) else float(value)


def shown_number(value: float, digits: int = 4, sign: str = "") -> str:
    """Returns a number as people read it: a dash where there is nothing to calculate it from.

    >>> shown_number(0.51239), shown_number(float("nan")), shown_number(0.5, 2, "+")
    ('0.5124', '-', '+0.50')

    Args:
        value: Number; NaN is none.
        digits: Number of decimals.
        sign: "+" shows the sign of positive numbers, too.
    """
    return "-" if math.isnan(value) else f"{value:{sign}.{digits}f}"
