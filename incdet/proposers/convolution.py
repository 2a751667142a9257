"""Separable filters on rows of pixels; the border's pixels continue outside. Masks are halves, centre first."""

import math

import numpy as np

from incdet.runtime.compilation import kernel


def gaussian_taps(sigma: float) -> np.ndarray:
    """Felzenszwalb's mask: ceil(4 sigma) + 1 float32 taps, whose two halves sum to 1; sigma 0 is no blur."""
    if sigma == 0:
        return np.ones(1, np.float32)
    half = np.exp(-0.5 * (np.arange(math.ceil(4 * sigma) + 1) / sigma) ** 2)
    return (half / (half[0] + 2 * half[1:].sum())).astype(np.float32)


def slope_taps(sigma: float) -> np.ndarray:
    """The derivative of `gaussian_taps`, for sign -1: a ramp that rises by 1 per pixel gives 1."""
    x = np.arange(math.ceil(4 * sigma) + 1)
    half = x * np.exp(-0.5 * (x / sigma) ** 2)
    return (half / (2 * (x * half).sum())).astype(np.float32)


@kernel
def filter_row(source: np.ndarray, taps: np.ndarray, sign: np.float32, padded: np.ndarray, out: np.ndarray) -> None:
    """Filters a row; sign is 1 for even masks, -1 for odd ones. `padded` is a buffer of W + 2 len(taps) - 2."""
    width, radius = len(source), len(taps) - 1
    padded[:radius] = source[0]
    padded[radius + width :] = source[width - 1]
    middle = padded[radius : radius + width]
    for x in range(width):
        middle[x] = source[x]
        out[x] = taps[0] * middle[x]
    for i in range(1, radius + 1):
        before, after, tap = padded[radius - i : radius - i + width], padded[radius + i :], taps[i]
        for x in range(width):
            out[x] += tap * (after[x] + sign * before[x])


@kernel
def filter_column(rows: np.ndarray, y: int, taps: np.ndarray, sign: np.float32, out: np.ndarray) -> None:
    """Row y of [H, W] rows that are filtered along their columns."""
    height, width = rows.shape
    row = rows[y]
    for x in range(width):
        out[x] = taps[0] * row[x]
    for i in range(1, len(taps)):
        before, after, tap = rows[max(y - i, 0)], rows[min(y + i, height - 1)], taps[i]
        for x in range(width):
            out[x] += tap * (after[x] + sign * before[x])


@kernel
def smooth(channels: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """[C, H, W] uint8 filtered by an even mask in both directions: [C, H, W] float32."""
    num_channels, height, width = channels.shape
    padded = np.empty(width + 2 * len(taps) - 2, np.float32)
    rows = np.empty((height, width), np.float32)
    out = np.empty((num_channels, height, width), np.float32)
    even = np.float32(1)
    for channel in range(num_channels):
        for y in range(height):
            filter_row(channels[channel, y], taps, even, padded, rows[y])
        for y in range(height):
            filter_column(rows, y, taps, even, out[channel, y])
    return out
