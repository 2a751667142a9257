"""What selective search compares regions by: size, box, colour and texture (Uijlings et al. 2013, section 3.2)."""

import math
from dataclasses import dataclass

import numpy as np

from incdet.proposers.convolution import filter_column, filter_row, gaussian_taps, slope_taps
from incdet.runtime.compilation import kernel

COLOR_BINS = 25
TEXTURE_BINS = 10
TEXTURE_RANGE = 60.0
"""Derivatives of this size and more share the last bin; the paper gives no range. Black to white has 102."""

_TEXTURE_SIGMA = 1.0
_DIRECTIONS = 4
"""Half of the paper's eight orientations; the other half are the same derivatives with their signs exchanged."""
_LARGEST = TEXTURE_BINS - 1
_CODES = 2 * _LARGEST + 1


@dataclass(frozen=True, eq=False)
class Regions:
    """The superpixels of one segmentation, R of them.

    Attributes:
        sizes: [R] int32, pixels.
        boxes: [R, 4] int32, xyxy pixels of the frame, half-open.
        colors: [R, 25 C] int32, pixels per bin of each channel.
        textures: [R, 80 C] int32, pixels per bin of each channel and orientation.
        neighbours: [P, 2] int64, pairs of regions that share an edge of a pixel, smaller number first, in order.
        num_pixels: of the frame.
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
    """Counts what the regions of a segmentation hold.

    Args:
        labels: [H, W] int32, 0..R-1.
        channels: [C, H, W] uint8, the colours.
        textures: `texture_codes` of the channels.
    """
    num_regions = int(labels.max()) + 1
    sizes, boxes, colors, signed = _count(labels, channels, textures, num_regions)
    pairs = np.unique(_touching_pairs(labels, num_regions))
    neighbours = np.stack(np.divmod(pairs, num_regions), axis=1)
    return Regions(sizes, boxes, colors, _unfold(signed, sizes), neighbours, labels.size)


def texture_codes(channels: np.ndarray) -> np.ndarray:
    """Binned derivatives of a Gaussian of one pixel, along four directions.

    Args:
        channels: [C, H, W] uint8.

    Returns:
        [C, H, 4, W] uint8, 0..18: the bin 0..9 of the derivative's size, signed, plus 9.
    """
    even, odd = gaussian_taps(_TEXTURE_SIGMA), slope_taps(_TEXTURE_SIGMA)
    return _texture_codes(channels, even, odd, np.float32(TEXTURE_BINS / TEXTURE_RANGE))


@kernel
def _texture_codes(channels: np.ndarray, even: np.ndarray, odd: np.ndarray, scale: np.float32) -> np.ndarray:
    num_channels, height, width = channels.shape
    codes = np.empty((num_channels, height, _DIRECTIONS, width), np.uint8)
    padded = np.empty(width + 2 * len(even) - 2, np.float32)
    blurred, sloped = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    down, right = np.empty(width, np.float32), np.empty(width, np.float32)
    plus, minus = np.float32(1), np.float32(-1)
    diagonal = scale * np.float32(math.sqrt(0.5))
    for channel in range(num_channels):
        for y in range(height):
            filter_row(channels[channel, y], even, plus, padded, blurred[y])
            filter_row(channels[channel, y], odd, minus, padded, sloped[y])
        for y in range(height):
            filter_column(sloped, y, even, plus, right)
            filter_column(blurred, y, odd, minus, down)
            row = codes[channel, y]
            # a Gaussian's derivative along any direction is the sum of those along the axes by cosine and sine
            _encode(right, down, scale, np.float32(0), row[0])
            _encode(right, down, diagonal, diagonal, row[1])
            _encode(right, down, np.float32(0), scale, row[2])
            _encode(right, down, -diagonal, diagonal, row[3])
    return codes


@kernel
def _encode(right: np.ndarray, down: np.ndarray, cosine: np.float32, sine: np.float32, out: np.ndarray) -> None:
    largest = np.float32(_LARGEST)
    for x in range(len(out)):
        value = cosine * right[x] + sine * down[x]
        out[x] = np.int32(min(max(value, -largest), largest)) + _LARGEST


@kernel
def _count(
    labels: np.ndarray, channels: np.ndarray, textures: np.ndarray, num_regions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(sizes, boxes, colours, [R, 4 C, 19] texture codes), as pixels per region."""
    num_channels, height, width = channels.shape
    sizes = np.zeros(num_regions, np.int32)
    boxes = np.empty((num_regions, 4), np.int32)
    boxes[:, :2] = max(height, width)
    boxes[:, 2:] = 0
    colors = np.zeros((num_regions, num_channels * COLOR_BINS), np.int32)
    signed = np.zeros((num_regions, num_channels * _DIRECTIONS, _CODES), np.int32)
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
                colors[labels[y, x], channel * COLOR_BINS + (np.int64(values[x]) * COLOR_BINS >> 8)] += 1
                region = signed[labels[y, x]]
                region[first, codes[0, x]] += 1
                region[first + 1, codes[1, x]] += 1
                region[first + 2, codes[2, x]] += 1
                region[first + 3, codes[3, x]] += 1
    return sizes, boxes, colors, signed


@kernel
def _unfold(signed: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[R, 80 C] counts of eight orientations from those of four signed directions.

    Where a derivative points the other way, an orientation sees nothing: such pixels are in its lowest bin.
    """
    num_regions, num_rows, _ = signed.shape
    out = np.empty((num_regions, num_rows // _DIRECTIONS, 2, _DIRECTIONS, TEXTURE_BINS), np.int32)
    for region in range(num_regions):
        for row in range(num_rows):
            channel, direction = divmod(row, _DIRECTIONS)
            for side in range(2):
                histogram = out[region, channel, side, direction]
                histogram[0] = sizes[region]
                for size in range(1, TEXTURE_BINS):
                    histogram[size] = signed[region, row, _LARGEST + size if side == 0 else _LARGEST - size]
                    histogram[0] -= histogram[size]
    return out.reshape(num_regions, 2 * num_rows * TEXTURE_BINS)


@kernel
def _touching_pairs(labels: np.ndarray, num_regions: int) -> np.ndarray:
    """Pairs of 4-connected regions as smaller * R + larger, with some repetitions."""
    height, width = labels.shape
    pairs = np.empty(2 * height * width, np.int64)
    latest = np.full(num_regions, -1, np.int32)
    num_pairs = 0
    for y in range(height):
        for x in range(width):
            here = labels[y, x]
            for there in (labels[y, min(x + 1, width - 1)], labels[min(y + 1, height - 1), x]):
                smaller, larger = min(here, there), max(here, there)
                if smaller != larger and latest[smaller] != larger:
                    latest[smaller] = larger
                    pairs[num_pairs] = np.int64(smaller) * num_regions + larger
                    num_pairs += 1
    return pairs[:num_pairs].copy()
