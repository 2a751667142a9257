"""Kernels that sample feature maps bilinearly: the cells and weights of each bin, blending, and its gradient."""

import numpy as np

from incdet.runtime.compilation import kernel

BINS = 14
"""Bins along each side of a region before the max pooling, as a crop of 224 pixels has cells."""

Taps = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of each bin along a side of length L: the first cell [14] int64, the number of cells [14] int64, and their weights
[14, L + 2] float32."""


@kernel
def empty_taps(length: int) -> Taps:
    """Memory for the taps of 14 bins along a side of the feature maps."""
    # a bin may cover the whole side
    return np.empty(BINS, np.int64), np.empty(BINS, np.int64), np.empty((BINS, length + 2), np.float32)


@kernel
def find_taps(low: float, high: float, length: int, taps: Taps) -> tuple[int, int]:
    """Finds the weighted cells of each bin along one side.

    A bin is the mean of ceil(its length) bilinear samples, evenly spaced (torchvision's `sampling_ratio=-1`). Samples
    up to one cell outside the feature maps are clamped to the border, those beyond count as zero. A side without
    length has no samples, so that the region is zero, as torchvision has it.

    Args:
        low: coordinate at which the region begins, in cells.
        high: coordinate at which it ends, in cells.
        length: number of cells of the feature maps along this side.
        taps: takes the first cell of each bin, the number of cells, 0 where the bin lies outside, and their weights.

    Returns:
        The first cell of all bins, and the one behind the last.
    """
    first, count, weights = taps
    step = (high - low) / BINS
    num_samples = int(np.ceil(step))
    begin, end = length, 0
    for number in range(BINS):
        lowest, highest = length, -1
        for sample in range(num_samples):
            position = low + step * (number + (sample + 0.5) / num_samples)
            if -1.0 <= position <= length:
                cell = min(int(max(position, 0.0)), length - 1)
                lowest, highest = min(lowest, cell), max(highest, min(cell + 1, length - 1))
        first[number], count[number] = lowest, max(highest - lowest + 1, 0)
        weights[number, : count[number]] = 0
        for sample in range(num_samples):
            position = low + step * (number + (sample + 0.5) / num_samples)
            if -1.0 <= position <= length:
                position = max(position, 0.0)
                cell = min(int(position), length - 1)
                share = position - cell if cell < length - 1 else 0.0
                weights[number, cell - lowest] += (1 - share) / num_samples
                if share > 0:
                    weights[number, cell + 1 - lowest] += share / num_samples
        if count[number]:
            begin, end = min(begin, lowest), max(end, highest + 1)
    return begin, end


@kernel
def blend_cells(
    blended: np.ndarray, begin: int, end: int, cells: np.ndarray, distance: int, taps: Taps, bin_of_row: np.ndarray
) -> None:
    """Sets each of some rows to the weighted sum of cells; to zero where there are none.

    Args:
        blended: [.., C] float32, of which the rows from `begin` to `end` are set.
        begin: the first row.
        end: the row behind the last.
        cells: [.., C] float32; row i is blended of those from i * distance on.
        distance: number of cells between those of two rows.
        taps: cells and weights of each bin.
        bin_of_row: [..] int64, the bin of each row.
    """
    first, count, weights = taps
    for row in range(begin, end):
        own = bin_of_row[row]
        cell, weight = row * distance + first[own], weights[own, 0]
        # most bins have two or three cells; reading them together saves reading and writing of sums
        if count[own] == 2:
            second_weight = weights[own, 1]
            for channel in range(cells.shape[1]):
                blended[row, channel] = weight * cells[cell, channel] + second_weight * cells[cell + 1, channel]
        elif count[own] >= 3:
            second_weight, third_weight = weights[own, 1], weights[own, 2]
            for channel in range(cells.shape[1]):
                two = weight * cells[cell, channel] + second_weight * cells[cell + 1, channel]
                blended[row, channel] = two + third_weight * cells[cell + 2, channel]
            for tap in range(3, count[own]):
                weight = weights[own, tap]
                for channel in range(cells.shape[1]):
                    blended[row, channel] += weight * cells[cell + tap, channel]
        elif count[own] == 1:
            for channel in range(cells.shape[1]):
                blended[row, channel] = weight * cells[cell, channel]
        else:
            blended[row] = 0


@kernel
def spread_rows(
    cells: np.ndarray, rows: np.ndarray, begin: int, end: int, distance: int, taps: Taps, bin_of_row: np.ndarray
) -> None:
    """Adds rows [.., C] to the cells that `blend_cells` would read for them, each with its weight."""
    first, count, weights = taps
    for row in range(begin, end):
        own = bin_of_row[row]
        for tap in range(count[own]):
            cell, weight = row * distance + first[own] + tap, weights[own, tap]
            for channel in range(rows.shape[1]):
                cells[cell, channel] += weight * rows[row, channel]
