"""A kernel for CPUs that samples warped crops bilinearly, known without torch."""

import numpy as np

from incdet.runtime.compilation import kernel


@kernel
def sample_crops_on_cpu(planes: np.ndarray, boxes_unit: np.ndarray, chosen: np.ndarray, crops: np.ndarray) -> None:
    """Writes the samples of `incdet.ops.crops.sample_crops` into some rows of an array.

    Sampling is separable. A row of the photo is sampled along x once and kept, because crops usually enlarge: several
    rows of the crop then lie between the same two rows of the photo.

    Args:
        planes: [3, H, W] float32, the photo.
        boxes_unit: [N, 4] float32, as for `sample_crops`.
        chosen: [K] int64, the rows of boxes and crops that are computed.
        crops: [N, 3, S, S] float32, where the samples are written.
    """
    size, height, width = crops.shape[2], planes.shape[1], planes.shape[2]
    # the two rows that were sampled last: an even one in place 0 and an odd one in place 1, as neighbours are
    rows = np.empty((2, 3, size), np.float32)
    held = np.empty(2, np.int64)
    for number in chosen:
        left, right, across, start, stop = _neighbours(boxes_unit[number, 0], boxes_unit[number, 2], width, size)
        top, bottom, down, upper, lower = _neighbours(boxes_unit[number, 1], boxes_unit[number, 3], height, size)
        left, right, across = left[start:stop], right[start:stop], across[start:stop]
        crop, held[:] = crops[number], -1
        # what lies outside the photo is the mean colour, zero
        crop[:, :upper], crop[:, lower:], crop[:, :, :start], crop[:, :, stop:] = 0, 0, 0, 0
        for y in range(upper, lower):
            for row in (top[y], bottom[y]):
                if held[row % 2] != row:
                    held[row % 2] = row
                    _sample_row(planes, row, left, right, across, rows[row % 2])
            for channel in range(3):
                above, below = rows[top[y] % 2, channel], rows[bottom[y] % 2, channel]
                _blend(above, below, down[y], crop[channel, y, start:stop])


@kernel
def _neighbours(low: float, high: float, length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int]:
    """Along one side: the two pixels that each sample lies between, the weight of the second, the samples inside.

    Args:
        low: start of the crop, normalised by the photo's side.
        high: end of the crop, normalised likewise.
        length: the photo's side in pixels.
        size: side S of the crop in pixels.

    Returns:
        Three arrays [S] (first pixel, second pixel, weight), the first sample inside the photo, the one after the last.
    """
    # unsigned, so that no index can count from the end, and none is checked for it
    first, second, weight = np.empty(size, np.uint32), np.empty(size, np.uint32), np.empty(size, np.float32)
    start, stop = size, 0
    for index in range(size):
        place = low + (high - low) * ((index + 0.5) / size)
        position = min(max(place * length - 0.5, 0.0), length - 1.0)
        first[index] = int(position)
        second[index] = min(first[index] + 1, length - 1)
        weight[index] = position - first[index]
        if 0 <= place < 1:
            start, stop = min(start, index), index + 1
    return first, second, weight, start, stop


@kernel
def _sample_row(
    planes: np.ndarray, row: int, left: np.ndarray, right: np.ndarray, across: np.ndarray, out: np.ndarray
) -> None:
    """Writes the samples of one row of planes [3, H, W] to out [3, :K], K being the length of `left`."""
    for x in range(len(left)):
        for channel in range(3):
            value = planes[channel, row, left[x]]
            out[channel, x] = value + (planes[channel, row, right[x]] - value) * across[x]


@kernel
def _blend(above: np.ndarray, below: np.ndarray, weight: float, out: np.ndarray) -> None:
    for x in range(len(out)):
        out[x] = above[x] + (below[x] - above[x]) * weight
