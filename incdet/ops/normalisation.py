"""Local response normalisation without gradients on a CPU: one pass over memory, where torch's operators take seven."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.runtime.compilation import kernel
from incdet.runtime.threads import split_among_threads

MIN_VALUES_PER_THREAD = 500_000
"""Smallest number of values for which starting another thread saves time."""


def normalise_on_cpu(feature_maps: Tensor, size: int, alpha: float, k: float) -> Tensor:
    """Local response normalisation across channels, computed in float32; `LocalResponseNorm` gives the formula.

    Args:
        feature_maps: [B, C, H, W] float32 or bfloat16, on the CPU; fastest with channels last.
        size: number of channels in a window, odd.
        alpha: factor of the mean square of a window.
        k: constant that is added to it.

    Returns:
        [B, C, H, W] in the type of the feature maps, with channels last.
    """
    # [B * H * W, C]: the channels of a pixel lie side by side, and pixels are independent
    pixels = feature_maps.permute(0, 2, 3, 1).reshape(-1, feature_maps.shape[1])
    result = torch.empty_like(pixels)
    # NumPy has no bfloat16, so its kernel reads and writes the bits
    is_float32 = feature_maps.dtype == torch.float32
    rows = pixels.numpy() if is_float32 else pixels.view(torch.uint16).numpy()
    out = result.numpy() if is_float32 else result.view(torch.uint16).numpy()
    normalise_rows = _normalise_float32 if is_float32 else _normalise_bfloat16
    # Caffe and torch divide alpha by the size, TensorFlow does not. The constants are float32, because Python's numbers
    # would make the kernel compute in float64.
    constants: tuple[Any, ...] = size // 2, np.float32(alpha / size), np.float32(k)

    def normalise_some(some: slice) -> None:
        normalise_rows(rows[some], out[some], *constants)

    min_rows = -(-MIN_VALUES_PER_THREAD // rows.shape[1])
    split_among_threads(normalise_some, len(rows), min_rows)
    batch, channels, height, width = feature_maps.shape
    return result.view(batch, height, width, channels).permute(0, 3, 1, 2)


@kernel
def _normalise(
    values: np.ndarray, out: np.ndarray, squares: np.ndarray, sums: np.ndarray, radius: int, factor: float, k: float
) -> None:
    """Normalises one pixel; the loops are so simple that the compiler makes them run on vectors.

    Args:
        values: [C] float32.
        out: [C] float32, where the result is written.
        squares: [C + 2 radius] float32, working memory; zero at both ends, where there are no channels.
        sums: [C] float32, working memory.
        radius: number of channels on each side of a window's middle.
        factor: factor of the squares, alpha divided by the size of a window.
        k: constant that is added.
    """
    num_channels = len(values)
    for channel in range(num_channels):
        squares[radius + channel] = values[channel] * values[channel] * factor
    # sums[c] = k + factor * sum of squares of the channels c - radius .. c + radius
    sums[:] = k
    for shift in range(2 * radius + 1):
        shifted = squares[shift : shift + num_channels]
        for channel in range(num_channels):
            sums[channel] += shifted[channel]
    # x / s^0.75 = x / (sqrt(s) * sqrt(sqrt(s))): two square roots run on vectors, a power does not
    for channel in range(num_channels):
        root = np.sqrt(sums[channel])
        out[channel] = values[channel] / (root * np.sqrt(root))


@kernel
def _normalise_float32(rows: np.ndarray, out: np.ndarray, radius: int, factor: float, k: float) -> None:
    """Normalises pixels [N, C] float32 into out [N, C] float32."""
    num_channels = rows.shape[1]
    squares, sums = np.zeros(num_channels + 2 * radius, np.float32), np.empty(num_channels, np.float32)
    for number in range(len(rows)):
        _normalise(rows[number], out[number], squares, sums, radius, factor, k)


@kernel
def _normalise_bfloat16(rows: np.ndarray, out: np.ndarray, radius: int, factor: float, k: float) -> None:
    """Normalises pixels [N, C] bfloat16 into out [N, C] bfloat16, both as the uint16 of the same bits."""
    num_channels = rows.shape[1]
    squares, sums = np.zeros(num_channels + 2 * radius, np.float32), np.empty(num_channels, np.float32)
    # the same memory as bits and as numbers
    bits, bits_out = np.empty(num_channels, np.uint32), np.empty(num_channels, np.uint32)
    values, values_out = bits.view(np.float32), bits_out.view(np.float32)
    below_half, one, sixteen = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)
    for number in range(len(rows)):
        row, row_out = rows[number], out[number]
        # a bfloat16 is the upper half of a float32
        for channel in range(num_channels):
            bits[channel] = np.uint32(row[channel]) << sixteen
        _normalise(values, values_out, squares, sums, radius, factor, k)
        # rounded to nearest: a lower half above 0x8000 carries into the upper one, and of two equally near numbers the
        # even one is taken
        for channel in range(num_channels):
            exact = bits_out[channel]
            row_out[channel] = (exact + below_half + ((exact >> sixteen) & one)) >> sixteen
