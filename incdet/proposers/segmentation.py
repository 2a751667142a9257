"""Graph-based segmentation (Felzenszwalb and Huttenlocher 2004): the superpixels that selective search starts from.

Blur, edge weights and their order depend on the colour space alone; `EdgeOrder` holds them for any number of k.
"""

import math
from dataclasses import dataclass

import numpy as np

from incdet.proposers.convolution import gaussian_taps, smooth
from incdet.runtime.compilation import kernel

_FRACTION_BITS = 18
"""Edge weights are multiples of 2**-18: finer than what the blur's float32 can tell apart."""


@dataclass(frozen=True, eq=False)
class EdgeOrder:
    """The edges of the 8-connected pixel grid by ascending weight.

    Attributes:
        edges: [E] int32, 4 * pixel + direction; directions are right, down, down right, up right.
        weights: [E] float32, Euclidean distance of the pixels' smoothed channels; ascending.
        height, width: of the grid.
    """

    edges: np.ndarray
    weights: np.ndarray
    height: int
    width: int


def order_edges(channels: np.ndarray, sigma: float) -> EdgeOrder:
    """Smooths an image and sorts the grid's edges by weight, equal ones by index.

    Args:
        channels: [C, H, W] uint8. Fewer than three channels weigh as if repeated, so that k keeps its meaning.
        sigma: blur in pixels; 0 is none.
    """
    _, height, width = channels.shape
    smoothed = smooth(channels, gaussian_taps(sigma))
    keys, counts = _edge_keys(smoothed, math.sqrt(3 / len(channels)))
    num_edges = int(counts[0].sum())
    # large arrays come from NumPy, which asks for huge pages: a third of the time would go into page faults otherwise
    edges, weights = np.empty((2, num_edges), np.int32)
    _sort_edges(keys, counts, np.empty((2, num_edges), np.int64), edges, weights.view(np.float32))
    return EdgeOrder(edges, weights.view(np.float32), height, width)


def segment(order: EdgeOrder, k: float, min_size: int) -> np.ndarray:
    """Superpixels of an image.

    Args:
        order: the image's edges.
        k: the larger, the larger the superpixels: a component of n pixels accepts edges up to its threshold plus k/n.
        min_size: fewest pixels of a superpixel; smaller components join a neighbour.

    Returns:
        [H, W] int32, numbered from 0 by their first pixels.
    """
    num_pixels = order.height * order.width
    forest = np.empty((4, num_pixels), np.int32)
    _grow(order.edges, order.weights, order.width, np.float32(k), min_size, forest, np.empty_like(order.edges))
    return forest[3].reshape(order.height, order.width)


@kernel
def _edge_keys(smoothed: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """([H, 4, W] int32: every edge's weight in steps of 2**-18, -1 without an edge; [3, 512]: counts of their digits).

    Weights are below 512, so a key has three digits of nine bits.
    """
    num_channels, height, width = smoothed.shape
    squares = np.empty(width, np.float32)
    keys = np.full((height, 4, width), -1, np.int32)
    counts = np.zeros((3, 512), np.int64)
    factor, half = np.float32(scale * (1 << _FRACTION_BITS)), np.float32(0.5)
    for y in range(height):
        for direction in range(4):
            neighbour = y + (0, 1, 1, -1)[direction]
            shift = (1, 0, 1, 1)[direction]
            if 0 <= neighbour < height:
                row, length = keys[y, direction], width - shift
                squares[:] = 0
                for channel in range(num_channels):
                    one, other = smoothed[channel, y], smoothed[channel, neighbour, shift:]
                    for x in range(length):
                        difference = one[x] - other[x]
                        squares[x] += difference * difference
                for x in range(length):
                    row[x] = np.int32(factor * np.sqrt(squares[x]) + half)
                for x in range(length):
                    counts[0, row[x] & 511] += 1
                    counts[1, (row[x] >> 9) & 511] += 1
                    counts[2, row[x] >> 18] += 1
    return keys, counts


@kernel
def _sort_edges(
    keys: np.ndarray, counts: np.ndarray, buffers: np.ndarray, edges: np.ndarray, weights: np.ndarray
) -> None:
    """Fills `edges` and `weights` in ascending order: a radix sort, whose 512 streams fit the nearest cache."""
    height, _, width = keys.shape
    places = np.zeros((3, 512), np.int64)
    for digit in range(3):
        for value in range(1, 512):
            places[digit, value] = places[digit, value - 1] + counts[digit, value - 1]
    low, middle, high = places
    first, second = buffers
    for y in range(height):
        for x in range(width):
            for direction in range(4):
                key = np.int64(keys[y, direction, x])
                if key >= 0:
                    first[low[key & 511]] = key << 32 | (4 * (y * width + x) + direction)
                    low[key & 511] += 1
    for i in range(len(first)):
        digit = (first[i] >> 41) & 511
        second[middle[digit]] = first[i]
        middle[digit] += 1
    for i in range(len(second)):
        place = high[second[i] >> 50]
        high[second[i] >> 50] += 1
        edges[place] = second[i] & 0xFFFFFFFF
        weights[place] = np.float32(second[i] >> 32) / np.float32(1 << _FRACTION_BITS)


@kernel
def _grow(
    edges: np.ndarray,
    weights: np.ndarray,
    width: int,
    k: np.float32,
    min_size: int,
    forest: np.ndarray,
    refused: np.ndarray,
) -> None:
    """Joins components along the edges; `forest` is [4, H * W] working memory whose last row takes the labels."""
    parents, sizes, labels = forest[0], forest[1], forest[3]
    thresholds = forest[2].view(np.float32)
    thresholds[:] = k
    sizes[:] = 1
    for pixel in range(len(parents)):
        parents[pixel] = pixel
    offsets = np.array([1, width, width + 1, 1 - width])
    num_refused = 0
    for i in range(len(edges)):
        edge = edges[i]
        one = find_root(parents, edge >> 2)
        other = find_root(parents, (edge >> 2) + offsets[edge & 3])
        if one != other:
            if weights[i] <= thresholds[one] and weights[i] <= thresholds[other]:
                root = _join(parents, sizes, one, other)
                thresholds[root] = weights[i] + k / np.float32(sizes[root])
            else:
                refused[num_refused] = edge
                num_refused += 1
    # edges inside a component stay inside, so only the refused ones are asked again
    for edge in refused[:num_refused]:
        one = find_root(parents, edge >> 2)
        other = find_root(parents, (edge >> 2) + offsets[edge & 3])
        if one != other and (sizes[one] < min_size or sizes[other] < min_size):
            _join(parents, sizes, one, other)
    _number(parents, labels, sizes)


@kernel
def find_root(parents: np.ndarray, pixel: int) -> int:
    """The root of a pixel's component; halves the path on its way."""
    while parents[pixel] != pixel:
        parents[pixel] = parents[parents[pixel]]
        pixel = parents[pixel]
    return pixel


@kernel
def _join(parents: np.ndarray, sizes: np.ndarray, one: int, other: int) -> int:
    """Makes one component of two, given by their roots, and returns its root."""
    if sizes[one] < sizes[other]:
        one, other = other, one
    parents[other] = one
    sizes[one] += sizes[other]
    return one


@kernel
def _number(parents: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> None:
    """Fills `labels` with the components' numbers, by their first pixels; `numbers` is working memory."""
    numbers[:] = -1
    num_labels = 0
    for pixel in range(len(parents)):
        root = find_root(parents, pixel)
        if numbers[root] < 0:
            numbers[root] = num_labels
            num_labels += 1
        labels[pixel] = numbers[root]
