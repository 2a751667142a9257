"""Kernels of region pooling for CPUs: RoIAlign with 14x14 bins and the 3x3/2 max pooling behind it, in one pass.

Bilinear sampling and the mean over a bin's samples are separable. Along each side, a bin is a short list of weighted
cells of the feature maps ("taps"), and a bin of the region is the outer product of two such lists. Neither the 14x14
bins nor the samples are ever stored: a row of bins is blended out of a few rows of the feature maps and raises the
maxima of the one or two rows of windows that it belongs to. Inner loops run over the channels, which lie side by side.
"""

import numpy as np

from incdet.runtime.compilation import kernel

BINS = 14
"""Bins along each side of a region before the max pooling, as a crop of 224 pixels has cells."""

POOLED_SIZE = 7
"""Windows of 3x3 bins along each side, two bins apart; the last one reaches beyond the bins, as in Caffe."""


@kernel
def pool(feature_maps: np.ndarray, regions: np.ndarray, pooled: np.ndarray) -> None:
    """Pools regions out of the feature maps of one photo.

    Args:
        feature_maps: [W, H, C] float32, so that the cells above each other lie together.
        regions: [R, 4] float32, x1 y1 x2 y2 in cells; cell i lies at coordinate i.
        pooled: [R, 7, 7, C] float32, which takes the result.
    """
    width, height, channels = feature_maps.shape
    # of each bin along y and x: the first cell, the number of cells and their weights
    first_y, num_y, weights_y = _empty_taps(height)
    first_x, num_x, weights_x = _empty_taps(width)
    line, cell = np.empty((width, channels), np.float32), np.empty(channels, np.float32)
    # a row of bins after the maxima along x
    across = np.empty((POOLED_SIZE, channels), np.float32)
    for number in range(len(regions)):
        left, right = _find_taps(regions[number, 0], regions[number, 2], width, first_x, num_x, weights_x)
        _find_taps(regions[number, 1], regions[number, 3], height, first_y, num_y, weights_y)
        for row in range(BINS):
            # rows of the feature maps become one, then its cells become bins, and these raise the maxima of windows
            for x in range(left, right):
                _blend(line[x], feature_maps[x], first_y[row], num_y[row], weights_y[row])
            for column in range(BINS):
                _blend(cell, line, first_x[column], num_x[column] if num_y[row] else 0, weights_x[column])
                window = column // 2
                if column % 2:
                    _raise(across[window], cell)
                else:
                    # an even bin is the first one of its window and the last one of the window before
                    across[window] = cell
                    if window:
                        _raise(across[window - 1], cell)
            window = row // 2
            for x in range(POOLED_SIZE):
                if row % 2:
                    _raise(pooled[number, window, x], across[x])
                else:
                    pooled[number, window, x] = across[x]
                    if window:
                        _raise(pooled[number, window - 1, x], across[x])


@kernel
def pool_and_note(feature_maps: np.ndarray, regions: np.ndarray, pooled: np.ndarray, origins: np.ndarray) -> None:
    """Does the same as `pool` and notes which bin each maximum comes from, which the gradient needs.

    Args:
        feature_maps: [W, H, C] float32, so that the cells above each other lie together.
        regions: [R, 4] float32, x1 y1 x2 y2 in cells.
        pooled: [R, 7, 7, C] float32, which takes the result.
        origins: [R, 7, 7, C] uint8, which takes row * 14 + column of each maximum's bin; the first of equal ones.
    """
    width, height, channels = feature_maps.shape
    first_y, num_y, weights_y = _empty_taps(height)
    first_x, num_x, weights_x = _empty_taps(width)
    line, cell = np.empty((width, channels), np.float32), np.empty(channels, np.float32)
    across, across_origins = np.empty((POOLED_SIZE, channels), np.float32), np.empty((POOLED_SIZE, channels), np.uint8)
    bins = np.empty(channels, np.uint8)
    for number in range(len(regions)):
        left, right = _find_taps(regions[number, 0], regions[number, 2], width, first_x, num_x, weights_x)
        _find_taps(regions[number, 1], regions[number, 3], height, first_y, num_y, weights_y)
        for row in range(BINS):
            for x in range(left, right):
                _blend(line[x], feature_maps[x], first_y[row], num_y[row], weights_y[row])
            for column in range(BINS):
                _blend(cell, line, first_x[column], num_x[column] if num_y[row] else 0, weights_x[column])
                bins[:] = row * BINS + column
                window = column // 2
                if column % 2:
                    _raise_and_note(across[window], across_origins[window], cell, bins)
                else:
                    across[window], across_origins[window] = cell, bins
                    if window:
                        _raise_and_note(across[window - 1], across_origins[window - 1], cell, bins)
            window = row // 2
            for x in range(POOLED_SIZE):
                if row % 2:
                    _raise_and_note(pooled[number, window, x], origins[number, window, x], across[x], across_origins[x])
                else:
                    pooled[number, window, x], origins[number, window, x] = across[x], across_origins[x]
                    if window:
                        above = pooled[number, window - 1, x], origins[number, window - 1, x]
                        _raise_and_note(above[0], above[1], across[x], across_origins[x])


@kernel
def spread_gradient(regions: np.ndarray, gradient: np.ndarray, origins: np.ndarray, spread: np.ndarray) -> None:
    """Adds the gradient of pooled regions to the cells that they come from.

    Threads take channels of their own, so that no two of them add to the same cell, and the sums have one order.

    Args:
        regions: [R, 4] float32, as `pool_and_note` took them.
        gradient: [R, 7, 7, c] float32, the gradient of some channels.
        origins: [R, 7, 7, c] uint8, the bins that `pool_and_note` noted for them.
        spread: [H, W, c] float32, to which the gradient of the feature maps is added.
    """
    height, width, channels = spread.shape
    first_y, num_y, weights_y = _empty_taps(height)
    first_x, num_x, weights_x = _empty_taps(width)
    cells, line = np.empty((BINS * BINS, channels), np.float32), np.empty((width, channels), np.float32)
    for number in range(len(regions)):
        left, right = _find_taps(regions[number, 0], regions[number, 2], width, first_x, num_x, weights_x)
        _find_taps(regions[number, 1], regions[number, 3], height, first_y, num_y, weights_y)
        # back through the max pooling: each window's gradient goes to the bin of its maximum
        cells[:] = 0
        for y in range(POOLED_SIZE):
            for x in range(POOLED_SIZE):
                origin, given = origins[number, y, x], gradient[number, y, x]
                for channel in range(channels):
                    cells[origin[channel], channel] += given[channel]
        # back through the blending: bins to the cells of a line, and the line to the rows that it was blended of
        for row in range(BINS):
            line[left:right] = 0
            for column in range(BINS):
                for tap in range(num_x[column]):
                    _add(line[first_x[column] + tap], cells[row * BINS + column], weights_x[column, tap])
            for tap in range(num_y[row]):
                for x in range(left, right):
                    _add(spread[first_y[row] + tap, x], line[x], weights_y[row, tap])


@kernel
def _empty_taps(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Memory for the taps of 14 bins along a side of the feature maps."""
    # a bin may cover the whole side
    return np.empty(BINS, np.int64), np.empty(BINS, np.int64), np.empty((BINS, length + 2), np.float32)


@kernel
def _find_taps(
    low: float, high: float, length: int, first: np.ndarray, count: np.ndarray, weights: np.ndarray
) -> tuple[int, int]:
    """Finds the weighted cells of each bin along one side.

    A bin is the mean of ceil(its length) bilinear samples, evenly spaced (torchvision's `sampling_ratio=-1`). Samples
    up to one cell outside the feature maps are clamped to the border, those beyond count as zero.

    Args:
        low: coordinate at which the region begins, in cells.
        high: coordinate at which it ends, in cells.
        length: number of cells of the feature maps along this side.
        first: [14] int64, which takes the first cell of each bin.
        count: [14] int64, which takes the number of cells of each bin; 0 where the bin lies outside.
        weights: [14, length + 2] float32, which takes the weights of these cells.

    Returns:
        The first cell of all bins, and the one behind the last.
    """
    step = (high - low) / BINS
    num_samples = max(int(np.ceil(step)), 1)
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
def _blend(blended: np.ndarray, rows: np.ndarray, first: int, count: int, weights: np.ndarray) -> None:
    """Sets [C] to the weighted sum of some rows [.., C]; to zero where there are none.

    Rows are added two at a time, which halves the reading and writing of the sum.
    """
    if count == 0:
        blended[:] = 0
        return
    if count == 1:
        one, weight = rows[first], weights[0]
        for channel in range(len(blended)):
            blended[channel] = weight * one[channel]
        return
    one, other, weight, other_weight = rows[first], rows[first + 1], weights[0], weights[1]
    for channel in range(len(blended)):
        blended[channel] = weight * one[channel] + other_weight * other[channel]
    for tap in range(2, count - 1, 2):
        one, other, weight, other_weight = rows[first + tap], rows[first + tap + 1], weights[tap], weights[tap + 1]
        for channel in range(len(blended)):
            blended[channel] += weight * one[channel] + other_weight * other[channel]
    if count % 2:
        _add(blended, rows[first + count - 1], weights[count - 1])


@kernel
def _add(total: np.ndarray, row: np.ndarray, weight: float) -> None:
    for channel in range(len(total)):
        total[channel] += weight * row[channel]


@kernel
def _raise(best: np.ndarray, cell: np.ndarray) -> None:
    """Replaces each value by that of the cell where that is larger."""
    for channel in range(len(best)):
        best[channel] = max(best[channel], cell[channel])


@kernel
def _raise_and_note(best: np.ndarray, best_bins: np.ndarray, cell: np.ndarray, bins: np.ndarray) -> None:
    """Does the same as `_raise` and notes the bin of each value that is replaced."""
    for channel in range(len(best)):
        is_larger = cell[channel] > best[channel]
        best_bins[channel] = bins[channel] if is_larger else best_bins[channel]
        best[channel] = cell[channel] if is_larger else best[channel]
