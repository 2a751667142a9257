"""The priors of MSC-MultiBox: the boxes that the network's outputs correct, in shares of the image."""

import itertools
import math

import numpy as np

GRIDS = (8, 6, 4, 3, 2)
"""MSC-MultiBox's grids: 11 priors in every cell, and one prior for the whole image (Szegedy et al. 2014, 3.1)."""

PRIORS_PER_CELL = 11

_ASPECTS = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)
_SCALES = (1.0, 1.6)
_LARGEST_SCALE = 2.3


def grid_priors() -> np.ndarray:
    """MSC-MultiBox's priors [1420, 4] float32: 11 shapes in every cell of five grids, then one for the whole image.

    The paper prints neither the shapes nor the sizes; these are five aspects at two sizes and a large square, in cells.
    Order: grids from fine to coarse, cells row by row, shapes.
    """
    shapes = [(s * math.sqrt(a), s / math.sqrt(a)) for s, a in itertools.product(_SCALES, _ASPECTS)]
    shapes.append((_LARGEST_SCALE, _LARGEST_SCALE))
    boxes = [
        ((x + 0.5 - width / 2) / grid, (y + 0.5 - height / 2) / grid,
         (x + 0.5 + width / 2) / grid, (y + 0.5 + height / 2) / grid)
        for grid in GRIDS
        for y, x in itertools.product(range(grid), repeat=2)
        for width, height in shapes
    ]  # fmt: skip
    return np.clip(np.array([*boxes, (0.0, 0.0, 1.0, 1.0)], np.float32), 0, 1)
