"""What selective search compares regions by: size, box, colour and texture (Uijlings et al. 2013, section 3.2)."""

import math
from dataclasses import dataclass

import numpy as np

from incdet.proposers.convolution import derivative_taps, filter_column, filter_row, gaussian_taps
from incdet.runtime.compilation import kernel

COLOR_BINS = 25
"""Bins of a colour histogram for each channel, as in the paper."""

TEXTURE_BINS = 10
"""Bins of a texture histogram for each channel and orientation, as in the paper."""

TEXTURE_RANGE = 60.0
"""Derivatives of this size and more share the last bin. The paper gives no range; an edge from black to white has 102
(255 times the peak of a Gaussian with sigma 1)."""

_TEXTURE_SIGMA = 1.0
"""Standard deviation of the Gaussian whose derivatives are the texture, in pixels, as in the paper."""

_DIRECTIONS = 4
"""Half of the paper's eight orientations; the other half are the same derivatives with their signs exchanged."""

_MAX_BIN = TEXTURE_BINS - 1
"""Number of the last bin of a texture histogram."""

_TEXTURE_CODES = 2 * _MAX_BIN + 1
"""Number of signed bins, from -9 to 9."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The R superpixels of one segmentation of a frame with C channels.

    Attributes:
        sizes: [R] int32, numbers of pixels.
        boxes: [R, 4] int32, xyxy pixels of the frame, half-open.
        colors: [R, 25 C] int32, numbers of pixels in each bin of each channel.
        textures: [R, 80 C] int32, numbers of pixels in each bin of each channel and orientation.
        neighbours: [P, 2] int64, pairs of regions that share an edge of a pixel, the smaller number first, ascending.
        num_pixels: number of pixels of the frame.
    """

    sizes: np.ndarray
    boxes: np.ndarray
    colors: np.ndarray
    textures: np.ndarray
    neighbours: np.ndarray
    num_pixels: int

    def __len__(self) -> int:
        return len(self.sizes)


def measure_regions(labels: np.ndarray, channels: np.ndarray, textures: np.ndarray) -> Regions:
    """Measures the superpixels of a segmentation.

    Args:
        labels: [H, W] int32, numbers of the superpixels, 0..R-1.
        channels: [C, H, W] uint8, the colours.
        textures: [C, H, 4, W] uint8, the `texture_codes` of the channels.
    """
    num_regions = int(labels.max()) + 1
    sizes, boxes, colors, code_counts = _count(labels, channels, textures, num_regions)
    # a pair is one number, smaller * R + larger, so that sorting and removing repetitions is fast
    pairs = np.unique(_touching_pairs(labels, num_regions))
    neighbours = np.stack(np.divmod(pairs, num_regions), axis=1)
    return Regions(sizes, boxes, colors, _orientation_histograms(code_counts, sizes), neighbours, labels.size)


def texture_codes(channels: np.ndarray) -> np.ndarray:
    """The binned derivatives of a Gaussian with sigma 1 along four directions: right, down right, down, down left.

    Args:
        channels: [C, H, W] uint8.

    Returns:
        [C, H, 4, W] uint8, 0..18: the bin 0..9 of the derivative's size, with the derivative's sign, plus 9.
    """
    gaussian, derivative = gaussian_taps(_TEXTURE_SIGMA), derivative_taps(_TEXTURE_SIGMA)
    return _texture_codes(channels, gaussian, derivative, np.float32(TEXTURE_BINS / TEXTURE_RANGE))


@kernel
def _texture_codes(channels: np.ndarray, gaussian: np.ndarray, derivative: np.ndarray, scale: np.float32) -> np.ndarray:
    """The result of `texture_codes`, given the taps [r + 1] of both masks and the bins per unit of a derivative."""
    num_channels, height, width = channels.shape
    codes = np.empty((num_channels, height, _DIRECTIONS, width), np.uint8)
    padded = np.empty(width + 2 * len(gaussian) - 2, np.float32)
    blurred, sloped = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    down, right = np.empty(width, np.float32), np.empty(width, np.float32)
    even, odd = np.float32(1), np.float32(-1)
    diagonal = scale * np.float32(math.sqrt(0.5))
    for channel in range(num_channels):
        # along x: the Gaussian in `blurred` and the derivative in `sloped`, both [H, W]
        for y in range(height):
            filter_row(channels[channel, y], gaussian, even, padded, blurred[y])
            filter_row(channels[channel, y], derivative, odd, padded, sloped[y])
        for y in range(height):
            # along y the other mask of each: the derivatives of the two-dimensional Gaussian along both axes
            filter_column(sloped, y, gaussian, even, right)
            filter_column(blurred, y, derivative, odd, down)
            # a Gaussian's derivative along any direction is the sum of those along the axes by cosine and sine
            row = codes[channel, y]
            _encode(right, down, scale, np.float32(0), row[0])
            _encode(right, down, diagonal, diagonal, row[1])
            _encode(right, down, np.float32(0), scale, row[2])
            _encode(right, down, -diagonal, diagonal, row[3])
    return codes


@kernel
def _encode(right: np.ndarray, down: np.ndarray, cosine: np.float32, sine: np.float32, out: np.ndarray) -> None:
    """Writes the codes of a row's derivatives along one direction, of scaled cosine and sine, to out [W] uint8."""
    max_bin = np.float32(_MAX_BIN)
    for x in range(len(out)):
        value = cosine * right[x] + sine * down[x]
        # int32 cuts towards zero, so a derivative and its negative fall into bins of the same number
        out[x] = np.int32(min(max(value, -max_bin), max_bin)) + _MAX_BIN


@kernel
def _count(
    labels: np.ndarray, channels: np.ndarray, textures: np.ndarray, num_regions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Measures all regions in one pass over the pixels.

    Args:
        labels: [H, W] int32, 0..R-1.
        channels: [C, H, W] uint8.
        textures: [C, H, 4, W] uint8.
        num_regions: the number R of regions.

    Returns:
        Sizes [R], boxes [R, 4], colour histograms [R, 25 C] and numbers of pixels with each texture code
        [R, 4 C, 19], all int32.
    """
    num_channels, height, width = channels.shape
    sizes = np.zeros(num_regions, np.int32)
    boxes = np.empty((num_regions, 4), np.int32)
    boxes[:, :2] = max(height, width)
    boxes[:, 2:] = 0
    colors = np.zeros((num_regions, num_channels * COLOR_BINS), np.int32)
    code_counts = np.zeros((num_regions, num_channels * _DIRECTIONS, _TEXTURE_CODES), np.int32)
    for y in range(height):
        for x in range(width):
            region = labels[y, x]
            sizes[region] += 1
            box = boxes[region]
            box[0], box[1] = min(box[0], x), min(box[1], y)
            box[2], box[3] = max(box[2], x + 1), max(box[3], y + 1)
        for channel in range(num_channels):
            values, codes, first = channels[channel, y], textures[channel, y], channel * _DIRECTIONS
            for x in range(width):
                # bin of a value 0..255: value * 25 / 256, cut to a whole number
                colors[labels[y, x], channel * COLOR_BINS + (np.int64(values[x]) * COLOR_BINS >> 8)] += 1
                # the four directions stand one by one: a loop over them is slower
                region = code_counts[labels[y, x]]
                region[first, codes[0, x]] += 1
                region[first + 1, codes[1, x]] += 1
                region[first + 2, codes[2, x]] += 1
                region[first + 3, codes[3, x]] += 1
    return sizes, boxes, colors, code_counts


@kernel
def _orientation_histograms(code_counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Histograms of eight orientations from the counts of four signed directions.

    Args:
        code_counts: [R, 4 C, 19] int32, numbers of pixels with each texture code.
        sizes: [R] int32, numbers of pixels.

    Returns:
        [R, 80 C] int32, in the order channel, orientation, bin.
    """
    num_regions, num_rows, _ = code_counts.shape
    out = np.empty((num_regions, num_rows // _DIRECTIONS, 2, _DIRECTIONS, TEXTURE_BINS), np.int32)
    for region in range(num_regions):
        for row in range(num_rows):
            channel, direction = divmod(row, _DIRECTIONS)
            for side in range(2):
                histogram = out[region, channel, side, direction]
                # an orientation sees derivatives of one sign; all other pixels of the region are in its lowest bin
                histogram[0] = sizes[region]
                for bin_number in range(1, TEXTURE_BINS):
                    code = _MAX_BIN + bin_number if side == 0 else _MAX_BIN - bin_number
                    histogram[bin_number] = code_counts[region, row, code]
                    histogram[0] -= histogram[bin_number]
    return out.reshape(num_regions, 2 * num_rows * TEXTURE_BINS)


@kernel
def _touching_pairs(labels: np.ndarray, num_regions: int) -> np.ndarray:
    """Pairs of regions that touch in the 4-connected grid, as in the paper; the segmentation's grid is 8-connected.

    Args:
        labels: [H, W] int32, 0..R-1.
        num_regions: the number R of regions.

    Returns:
        [K] int64, smaller number * R + larger number, with some repetitions.
    """
    height, width = labels.shape
    pairs = np.empty(2 * height * width, np.int64)
    # the last partner of each region: most repetitions follow one another along a border and are left out here
    latest = np.full(num_regions, -1, np.int32)
    num_pairs = 0
    for y in range(height):
        for x in range(width):
            here = labels[y, x]
            # at the border of the frame a pixel is compared with itself, which is no pair
            for there in (labels[y, min(x + 1, width - 1)], labels[min(y + 1, height - 1), x]):
                smaller, larger = min(here, there), max(here, there)
                if smaller != larger and latest[smaller] != larger:
                    latest[smaller] = larger
                    pairs[num_pairs] = np.int64(smaller) * num_regions + larger
                    num_pairs += 1
    return pairs[:num_pairs].copy()
