"""The priors of MSC-MultiBox: boxes, normalised to [0, 1], that the network moves and stretches."""

import itertools
import math

import numpy as np

GRIDS = (8, 6, 4, 3, 2)
"""Cells along each side of MSC-MultiBox's grids (Szegedy et al. 2014, section 3.1)."""

PRIORS_PER_CELL = 11

# The paper prints neither shapes nor sizes of its 11 priors per cell. These are ours: five aspect ratios at two sizes,
# and one large square, in units of a cell.
_ASPECT_RATIOS = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)
_SCALES = (1.0, 1.6)
_MAX_SCALE = 2.3


def grid_priors() -> np.ndarray:
    """Makes MSC-MultiBox's priors: 11 shapes in every cell of five grids, and one prior for the whole image.

    Returns:
        [1420, 4] float32, corners normalised to [0, 1]. Order: grids from fine to coarse, cells row by row, shapes; the
        whole image last.
    """
    # width and height of each shape, in cells; the area does not depend on the aspect ratio
    shapes = []
    for scale, aspect_ratio in itertools.product(_SCALES, _ASPECT_RATIOS):
        shapes.append((scale * math.sqrt(aspect_ratio), scale / math.sqrt(aspect_ratio)))
    shapes.append((_MAX_SCALE, _MAX_SCALE))
    boxes = []
    for grid in GRIDS:
        for y, x in itertools.product(range(grid), repeat=2):
            for width, height in shapes:
                # around the middle of the cell
                left, right = (x + 0.5 - width / 2) / grid, (x + 0.5 + width / 2) / grid
                top, bottom = (y + 0.5 - height / 2) / grid, (y + 0.5 + height / 2) / grid
                boxes.append((left, top, right, bottom))
    boxes.append((0.0, 0.0, 1.0, 1.0))
    # priors of border cells end at the border of the image
    return np.clip(np.array(boxes, np.float32), 0, 1)
