"""Kernels of region pooling for CPUs: RoIAlign with 14x14 bins and the 3x3/2 max pooling behind it, in one pass.

Bilinear sampling and the mean over a bin's samples are separable. Along each side, a bin is a short list of weighted
cells of the feature maps ("taps"), and a bin of the region is the outer product of two such lists. Neither the samples
nor all 14x14 bins are ever stored: some rows of the feature maps become a line, a line becomes a row of bins, and three
rows of bins become a row of windows. Inner loops run over all channels, which lie side by side.

A call from kernel to kernel takes as long as computing hundreds of channels, because uses of arrays are counted. So
each call does a whole row of cells; blocks of a few channels would stay in the nearest cache, but take longer.
"""

import numpy as np

from incdet.ops.bilinear_taps import BINS, blend_cells, empty_taps, find_taps, spread_rows
from incdet.runtime.compilation import kernel

POOLED_SIZE = 7
"""Windows of 3x3 bins along each side, two bins apart; the last one reaches beyond the bins, as in Caffe."""


@kernel
def pool(feature_maps: np.ndarray, regions: np.ndarray, pooled: np.ndarray) -> None:
    """Pools regions out of the feature maps of one photo.

    Args:
        feature_maps: [W, H, C] float32, so that the cells above each other lie together.
        regions: [R, 4] float32, x1 y1 x2 y2 in cells; cell i lies at coordinate i.
        pooled: [R, 7, 7, C] float32, which takes the result, or uint16, which takes the bits of the result in bfloat16.
    """
    width, height, channels = feature_maps.shape
    columns = feature_maps.reshape(width * height, channels)
    taps_x, taps_y = empty_taps(width), empty_taps(height)
    bin_of_line, bin_of_column = np.empty(width, np.int64), np.arange(BINS)
    line, bins = np.empty((width, channels), np.float32), np.empty((BINS, channels), np.float32)
    # the last three rows of bins after the maxima along x, each in a third of the array, and a row of windows
    across = np.empty((3 * POOLED_SIZE, channels), np.float32)
    windows = np.empty((POOLED_SIZE, channels), np.float32)
    for number in range(len(regions)):
        left, right = find_taps(regions[number, 0], regions[number, 2], width, taps_x)
        find_taps(regions[number, 1], regions[number, 3], height, taps_y)
        for row in range(BINS):
            bin_of_line[:] = row
            blend_cells(line, left, right, columns, height, taps_y, bin_of_line)
            blend_cells(bins, 0, BINS, line, 0, taps_x, bin_of_column)
            _take_maxima(across, row % 3 * POOLED_SIZE, bins, (0, 1, 2), 2)
            window = _completed_window(row)
            if window >= 0:
                _take_maxima(windows, 0, across, _rows_across(window), 1)
                _store(pooled[number, window], windows)


@kernel
def pool_and_note(feature_maps: np.ndarray, regions: np.ndarray, pooled: np.ndarray, origins: np.ndarray) -> None:
    """Does the same as `pool` and notes which bin each maximum comes from, which the gradient needs.

    Args:
        feature_maps: [W, H, C] float32, so that the cells above each other lie together.
        regions: [R, 4] float32, x1 y1 x2 y2 in cells.
        pooled: [R, 7, 7, C] float32 or uint16, which takes the result.
        origins: [R, 7, 7, C] uint8, which takes row * 14 + column of each maximum's bin; the first of equal ones.
    """
    width, height, channels = feature_maps.shape
    columns = feature_maps.reshape(width * height, channels)
    taps_x, taps_y = empty_taps(width), empty_taps(height)
    bin_of_line, bin_of_column = np.empty(width, np.int64), np.arange(BINS)
    line, bins = np.empty((width, channels), np.float32), np.empty((BINS, channels), np.float32)
    across = np.empty((3 * POOLED_SIZE, channels), np.float32)
    windows = np.empty((POOLED_SIZE, channels), np.float32)
    # the bins that the values of these arrays come from
    own, across_origins = np.empty(bins.shape, np.uint8), np.empty(across.shape, np.uint8)
    for number in range(len(regions)):
        left, right = find_taps(regions[number, 0], regions[number, 2], width, taps_x)
        find_taps(regions[number, 1], regions[number, 3], height, taps_y)
        for row in range(BINS):
            bin_of_line[:] = row
            blend_cells(line, left, right, columns, height, taps_y, bin_of_line)
            blend_cells(bins, 0, BINS, line, 0, taps_x, bin_of_column)
            for column in range(BINS):
                own[column] = row * BINS + column
            _note_maxima(across, across_origins, row % 3 * POOLED_SIZE, bins, own, (0, 1, 2), 2)
            window = _completed_window(row)
            if window >= 0:
                triple = _rows_across(window)
                _note_maxima(windows, origins[number, window], 0, across, across_origins, triple, 1)
                _store(pooled[number, window], windows)


@kernel
def spread_gradient(regions: np.ndarray, gradient: np.ndarray, origins: np.ndarray, spread: np.ndarray) -> None:
    """Adds the gradient of pooled regions to the cells that they come from.

    Threads take channels of their own, so that no two of them add to the same cell, and the sums have one order.

    Args:
        regions: [R, 4] float32, as `pool_and_note` took them.
        gradient: [R, 7, 7, c] float32, the gradient of some channels.
        origins: [R, 7, 7, c] uint8, the bins that `pool_and_note` noted for them.
        spread: [W, H, c] float32, to which the gradient of the feature maps is added.
    """
    width, height, channels = spread.shape
    columns = spread.reshape(width * height, channels)
    taps_x, taps_y = empty_taps(width), empty_taps(height)
    bin_of_line, bin_of_column = np.empty(width, np.int64), np.arange(BINS)
    bins, line = np.empty((BINS * BINS, channels), np.float32), np.empty((width, channels), np.float32)
    for number in range(len(regions)):
        left, right = find_taps(regions[number, 0], regions[number, 2], width, taps_x)
        find_taps(regions[number, 1], regions[number, 3], height, taps_y)
        # back through the max pooling: each window's gradient goes to the bin of its maximum
        bins[:] = 0
        for y in range(POOLED_SIZE):
            for x in range(POOLED_SIZE):
                origin, given = origins[number, y, x], gradient[number, y, x]
                for channel in range(channels):
                    bins[origin[channel], channel] += given[channel]
        # back through the blending: a row of bins to a line, and the line to the rows that it was blended of
        for row in range(BINS):
            bin_of_line[:] = row
            line[left:right] = 0
            spread_rows(line, bins[row * BINS : (row + 1) * BINS], 0, BINS, 0, taps_x, bin_of_column)
            spread_rows(columns, line, left, right, height, taps_y, bin_of_line)


@kernel
def _completed_window(row: int) -> int:
    """Returns the row of windows whose last row of bins this is, -1 where it is that of none."""
    # rows 2, 4, ..., 12 complete a row of windows, and row 13 completes the last one
    completes = row >= 2 and (row % 2 == 0 or row == BINS - 1)
    return (row - 1) // 2 if completes else -1


@kernel
def _rows_across(window: int) -> tuple[int, int, int]:
    """Returns where the three rows of bins of a row of windows begin in an array of the last three.

    The last row of windows has two rows of bins, of which the second one counts twice.
    """
    first, second, third = 2 * window, 2 * window + 1, min(2 * window + 2, BINS - 1)
    return first % 3 * POOLED_SIZE, second % 3 * POOLED_SIZE, third % 3 * POOLED_SIZE


@kernel
def _take_maxima(maxima: np.ndarray, begin: int, rows: np.ndarray, triple: tuple[int, int, int], distance: int) -> None:
    """Takes the maxima of seven triples of rows.

    Args:
        maxima: [.., C] float32, of which seven rows are set.
        begin: the first of them.
        rows: [.., C] float32; a triple that would reach beyond its end has the last row instead.
        triple: the rows of the first triple.
        distance: number of rows from a triple to the next.
    """
    for number in range(POOLED_SIZE):
        one, two = triple[0] + number * distance, triple[1] + number * distance
        three = min(triple[2] + number * distance, len(rows) - 1)
        for channel in range(rows.shape[1]):
            maxima[begin + number, channel] = max(max(rows[one, channel], rows[two, channel]), rows[three, channel])


@kernel
def _note_maxima(
    maxima: np.ndarray,
    origins: np.ndarray,
    begin: int,
    rows: np.ndarray,
    row_origins: np.ndarray,
    triple: tuple[int, int, int],
    distance: int,
) -> None:
    """Does the same as `_take_maxima`, and `origins` takes the `row_origins` of the maxima; the first of equal ones."""
    for number in range(POOLED_SIZE):
        one = triple[0] + number * distance
        best, best_origins = maxima[begin + number], origins[begin + number]
        best[:], best_origins[:] = rows[one], row_origins[one]
        for place in triple[1:]:
            other = min(place + number * distance, len(rows) - 1)
            _raise_and_note(best, best_origins, rows[other], row_origins[other])


@kernel
def _raise_and_note(best: np.ndarray, best_origins: np.ndarray, row: np.ndarray, row_origins: np.ndarray) -> None:
    """Replaces each value [C] by that of the row where that is larger, and its origin, too."""
    for channel in range(len(best)):
        is_larger = row[channel] > best[channel]
        best_origins[channel] = row_origins[channel] if is_larger else best_origins[channel]
        best[channel] = row[channel] if is_larger else best[channel]


@kernel
def _store(stored: np.ndarray, windows: np.ndarray) -> None:
    """Stores [7, C] float32, as it is, or as bits of bfloat16 where the memory is uint16."""
    if stored.itemsize == 4:
        for x in range(POOLED_SIZE):
            for channel in range(windows.shape[1]):
                stored[x, channel] = windows[x, channel]
        return
    # the upper half of a float32 is a bfloat16; halves are rounded to even ones, as torch does
    bits = windows.view(np.uint32)
    for x in range(POOLED_SIZE):
        for channel in range(windows.shape[1]):
            is_odd = (bits[x, channel] >> np.uint32(16)) & np.uint32(1)
            stored[x, channel] = (bits[x, channel] + np.uint32(0x7FFF) + is_odd) >> np.uint32(16)
