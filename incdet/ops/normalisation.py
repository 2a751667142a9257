"""Response normalisation without gradients on a CPU: one pass over the maps, where torch's operators take seven."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.runtime.compilation import kernel
from incdet.runtime.threads import split_among_threads

THREAD_VALUES = 500_000
"""A thread is not worth starting for fewer."""


def normalise_on_cpu(maps: Tensor, size: int, alpha: float, k: float) -> Tensor:
    """Maps [B, C, H, W], float32 or bfloat16 -> the same, computed in float32; see `LocalResponseNorm`.

    Args:
        maps: on the CPU; fastest with channels last, as the result is.
        size: of the window of channels, odd.
        alpha: what the sum of squares is multiplied by, but for `size`.
        k: what is added to it.
    """
    pixels = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    result = torch.empty_like(pixels)
    exact = maps.dtype == torch.float32
    rows, out = (part.numpy() if exact else part.view(torch.uint16).numpy() for part in (pixels, result))
    # as float32: Python's numbers would make everything float64
    constants: tuple[Any, ...] = size // 2, np.float32(alpha / size), np.float32(k)
    compute = _normalise_rows if exact else _normalise_bits

    def work(part: slice) -> None:
        compute(rows[part], out[part], *constants)

    split_among_threads(work, len(rows), -(-THREAD_VALUES // rows.shape[1]))
    return result.view(maps.shape[0], *maps.shape[2:], maps.shape[1]).permute(0, 3, 1, 2)


@kernel
def _normalise(
    values: np.ndarray, out: np.ndarray, squares: np.ndarray, sums: np.ndarray, reach: int, share: float, k: float
) -> None:
    """One pixel [C]; the loops are as simple as it takes to run on vectors."""
    count = len(values)
    for channel in range(count):
        squares[reach + channel] = values[channel] * values[channel] * share
    sums[:] = k
    for shift in range(2 * reach + 1):
        shifted = squares[shift : shift + count]
        for channel in range(count):
            sums[channel] += shifted[channel]
    for channel in range(count):
        root = np.sqrt(sums[channel])
        out[channel] = values[channel] / (root * np.sqrt(root))


@kernel
def _normalise_rows(rows: np.ndarray, out: np.ndarray, reach: int, share: float, k: float) -> None:
    """Pixels [N, C] float32."""
    channels = rows.shape[1]
    squares, sums = np.zeros(channels + 2 * reach, np.float32), np.empty(channels, np.float32)
    for number in range(len(rows)):
        _normalise(rows[number], out[number], squares, sums, reach, share, k)


@kernel
def _normalise_bits(rows: np.ndarray, out: np.ndarray, reach: int, share: float, k: float) -> None:
    """Pixels [N, C] bfloat16, the upper half of a float32, as uint16; rounded, ties to even."""
    channels = rows.shape[1]
    squares, sums = np.zeros(channels + 2 * reach, np.float32), np.empty(channels, np.float32)
    bits, bits_out = np.empty(channels, np.uint32), np.empty(channels, np.uint32)
    values, values_out = bits.view(np.float32), bits_out.view(np.float32)
    half, one, sixteen = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)
    for number in range(len(rows)):
        row, row_out = rows[number], out[number]
        for channel in range(channels):
            bits[channel] = np.uint32(row[channel]) << sixteen
        _normalise(values, values_out, squares, sums, reach, share, k)
        for channel in range(channels):
            exact = bits_out[channel]
            row_out[channel] = (exact + half + ((exact >> sixteen) & one)) >> sixteen
