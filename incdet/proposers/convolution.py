"""Separable filters on the rows and columns of images; outside, the pixels of the border continue.

A mask is given as its taps from the centre outwards, t[0] .. t[r]: the other half is the same, or for odd masks the
same with the sign exchanged.
"""

import math

import numpy as np

from incdet.runtime.compilation import kernel


def gaussian_taps(sigma: float) -> np.ndarray:
    """A Gaussian as Felzenszwalb's code has it: radius ceil(4 sigma), normalised to a sum of 1.

    Args:
        sigma: standard deviation in pixels; 0 is no blur.

    Returns:
        [ceil(4 sigma) + 1] float32, from the centre outwards.
    """
    if sigma == 0:
        return np.ones(1, np.float32)
    # g(x) = exp(-x^2 / (2 sigma^2)) for x = 0 .. radius; the centre counts once, every other tap on both sides
    taps = np.exp(-0.5 * (np.arange(math.ceil(4 * sigma) + 1) / sigma) ** 2)
    return (taps / (taps[0] + 2 * taps[1:].sum())).astype(np.float32)


def derivative_taps(sigma: float) -> np.ndarray:
    """The derivative of a Gaussian, an odd mask, scaled so that a ramp that rises by 1 per pixel gives 1.

    Args:
        sigma: standard deviation in pixels, above 0.

    Returns:
        [ceil(4 sigma) + 1] float32, from the centre outwards.
    """
    # x g(x), up to a constant the derivative of g; on the ramp f(x) = x it gives the sum of x * x g(x) over both sides
    x = np.arange(math.ceil(4 * sigma) + 1)
    taps = x * np.exp(-0.5 * (x / sigma) ** 2)
    return (taps / (2 * (x * taps).sum())).astype(np.float32)


@kernel
def filter_row(source: np.ndarray, taps: np.ndarray, sign: np.float32, padded: np.ndarray, out: np.ndarray) -> None:
    """Filters one row of pixels.

    Args:
        source: [W], the row.
        taps: [r + 1] float32, the mask from the centre outwards.
        sign: 1 for even masks, -1 for odd ones.
        padded: [W + 2 r] float32, working memory.
        out: [W] float32, where the result is written.
    """
    width, radius = len(source), len(taps) - 1
    # the border's pixels continue outside, so that the loops below need no case for the border
    padded[:radius] = source[0]
    padded[radius + width :] = source[width - 1]
    middle = padded[radius : radius + width]
    for x in range(width):
        middle[x] = source[x]
        out[x] = taps[0] * middle[x]
    # out[x] = t[0] f(x) + sum over i of t[i] (f(x + i) + sign f(x - i)); x is the inner loop, which runs on vectors
    for i in range(1, radius + 1):
        before, after, tap = padded[radius - i : radius - i + width], padded[radius + i :], taps[i]
        for x in range(width):
            out[x] += tap * (after[x] + sign * before[x])


@kernel
def filter_column(rows: np.ndarray, y: int, taps: np.ndarray, sign: np.float32, out: np.ndarray) -> None:
    """One row of the result of filtering an image along its columns.

    Args:
        rows: [H, W] float32, the image.
        y: number of the row.
        taps: [r + 1] float32, the mask from the centre outwards.
        sign: 1 for even masks, -1 for odd ones.
        out: [W] float32, where the result is written.
    """
    height, width = rows.shape
    row = rows[y]
    for x in range(width):
        out[x] = taps[0] * row[x]
    # whole rows are added, because they lie together in memory; beyond the border its row is taken again
    for i in range(1, len(taps)):
        before, after, tap = rows[max(y - i, 0)], rows[min(y + i, height - 1)], taps[i]
        for x in range(width):
            out[x] += tap * (after[x] + sign * before[x])


@kernel
def smooth(channels: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Filters an image by an even mask along both axes.

    Args:
        channels: [C, H, W] uint8.
        taps: [r + 1] float32, the mask from the centre outwards.

    Returns:
        [C, H, W] float32.
    """
    num_channels, height, width = channels.shape
    padded = np.empty(width + 2 * len(taps) - 2, np.float32)
    rows = np.empty((height, width), np.float32)
    out = np.empty((num_channels, height, width), np.float32)
    even = np.float32(1)
    for channel in range(num_channels):
        # along x into a buffer, then along y from the buffer
        for y in range(height):
            filter_row(channels[channel, y], taps, even, padded, rows[y])
        for y in range(height):
            filter_column(rows, y, taps, even, out[channel, y])
    return out
