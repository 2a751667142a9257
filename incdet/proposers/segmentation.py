"""Graph-based segmentation (Felzenszwalb and Huttenlocher 2004): the superpixels that selective search starts from.

The pixels are the nodes of a graph, and the difference of two neighbours is the weight of their edge. Blur, weights and
the order of the edges depend on the colour space alone, so `EdgeOrder` is made once and serves for any number of k.
"""

import math
from dataclasses import dataclass

import numpy as np

from incdet.proposers.convolution import gaussian_taps, smooth
from incdet.runtime.compilation import kernel

_FRACTION_BITS = 18
"""Edge weights are multiples of 2**-18: finer than the differences that the blur's float32 can tell apart."""


@dataclass(frozen=True, eq=False)
class EdgeOrder:
    """The E edges of the 8-connected grid of pixels, by ascending weight.

    Attributes:
        edges: [E] int32, 4 * pixel + direction; the directions 0..3 are right, down, down right and up right, and pixel
            is y * width + x.
        weights: [E] float32, Euclidean distances of the smoothed channels of both pixels; ascending.
        height: height of the grid in pixels.
        width: width of the grid in pixels.
    """

    edges: np.ndarray
    weights: np.ndarray
    height: int
    width: int


def order_edges(channels: np.ndarray, sigma: float) -> EdgeOrder:
    """Smooths an image and sorts the edges of its grid by weight; edges of equal weight keep the order of their index.

    Args:
        channels: [C, H, W] uint8.
        sigma: standard deviation of the blur in pixels; 0 is no blur.
    """
    num_channels, height, width = channels.shape
    smoothed = smooth(channels, gaussian_taps(sigma))
    # fewer than three channels weigh as if they were repeated, so that k means the same in all colour spaces
    keys, counts = _edge_keys(smoothed, math.sqrt(3 / num_channels))
    num_edges = int(counts[0].sum())
    # large arrays are made by NumPy, which asks the system for huge pages: in a kernel, a third of the time would be
    # spent on page faults
    edges, weights = np.empty((2, num_edges), np.int32)
    _sort_edges(keys, counts, np.empty((2, num_edges), np.int64), edges, weights.view(np.float32))
    return EdgeOrder(edges, weights.view(np.float32), height, width)


def segment(order: EdgeOrder, k: float, min_size: int) -> np.ndarray:
    """Joins pixels to superpixels.

    Args:
        order: the edges of the image.
        k: scale of the superpixels, in units of the weights: a component of n pixels accepts edges up to the weight of
            its last edge plus k/n, so a larger k gives larger superpixels.
        min_size: smallest number of pixels of a superpixel; smaller components join a neighbour.

    Returns:
        [H, W] int32, numbers of the superpixels, from 0 in the order of their first pixels.
    """
    num_pixels = order.height * order.width
    memory = np.empty((4, num_pixels), np.int32)
    _join_pixels(order.edges, order.weights, order.width, np.float32(k), min_size, memory, np.empty_like(order.edges))
    return memory[3].reshape(order.height, order.width)


@kernel
def _edge_keys(smoothed: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The weights of all edges as whole numbers that can be sorted digit by digit.

    Args:
        smoothed: [C, H, W] float32.
        scale: factor of the weights.

    Returns:
        Keys [H, 4, W] int32, weights in steps of 2**-18 for each pixel and direction, -1 where there is no neighbour;
        and the number of edges [3, 512] int64 that have each value of the lowest, middle and highest digit. Weights are
        at most sqrt(3) * 255 < 512, so a key has 9 + 18 bits: three digits of nine.
    """
    num_channels, height, width = smoothed.shape
    squares = np.empty(width, np.float32)
    keys = np.full((height, 4, width), -1, np.int32)
    counts = np.zeros((3, 512), np.int64)
    factor, half = np.float32(scale * (1 << _FRACTION_BITS)), np.float32(0.5)
    for y in range(height):
        for direction in range(4):
            # steps to the neighbour along y and x: right, down, down right, up right
            neighbour = y + (0, 1, 1, -1)[direction]
            shift = (1, 0, 1, 1)[direction]
            if 0 <= neighbour < height:
                row, length = keys[y, direction], width - shift
                # w = sqrt(sum over channels of (I(p) - I(q))^2); x is the inner loop, which runs on vectors
                squares[:] = 0
                for channel in range(num_channels):
                    here, there = smoothed[channel, y], smoothed[channel, neighbour, shift:]
                    for x in range(length):
                        difference = here[x] - there[x]
                        squares[x] += difference * difference
                for x in range(length):
                    row[x] = np.int32(factor * np.sqrt(squares[x]) + half)
                # counted here, while the row is in the cache
                for x in range(length):
                    counts[0, row[x] & 511] += 1
                    counts[1, (row[x] >> 9) & 511] += 1
                    counts[2, row[x] >> 18] += 1
    return keys, counts


@kernel
def _sort_edges(
    keys: np.ndarray, counts: np.ndarray, buffers: np.ndarray, edges: np.ndarray, weights: np.ndarray
) -> None:
    """Sorts the edges by radix sort: three passes, one for each digit, from the lowest to the highest.

    A pass keeps the order of equal digits, so that edges of equal weight stay in the order of their index. The 512
    places that a pass writes to fit into the nearest cache.

    Args:
        keys: [H, 4, W] int32, from `_edge_keys`.
        counts: [3, 512] int64, from `_edge_keys`.
        buffers: [2, E] int64, working memory.
        edges: [E] int32, where the sorted edges are written.
        weights: [E] float32, where their weights are written.
    """
    height, _, width = keys.shape
    # the place of the first edge with each value of a digit: the number of edges with smaller values
    places = np.zeros((3, 512), np.int64)
    for digit in range(3):
        for value in range(1, 512):
            places[digit, value] = places[digit, value - 1] + counts[digit, value - 1]
    low, middle, high = places
    first, second = buffers
    # lowest digit; an entry is the key in the upper 32 bits and the edge in the lower 32
    for y in range(height):
        for x in range(width):
            for direction in range(4):
                key = np.int64(keys[y, direction, x])
                if key >= 0:
                    first[low[key & 511]] = key << 32 | (4 * (y * width + x) + direction)
                    low[key & 511] += 1
    # middle digit: bits 9 to 17 of the key, 41 to 49 of the entry
    for i in range(len(first)):
        digit = (first[i] >> 41) & 511
        second[middle[digit]] = first[i]
        middle[digit] += 1
    # highest digit: bits 18 and above of the key; the entries are taken apart on the way
    for i in range(len(second)):
        place = high[second[i] >> 50]
        high[second[i] >> 50] += 1
        edges[place] = second[i] & 0xFFFFFFFF
        weights[place] = np.float32(second[i] >> 32) / np.float32(1 << _FRACTION_BITS)


@kernel
def _join_pixels(
    edges: np.ndarray,
    weights: np.ndarray,
    width: int,
    k: np.float32,
    min_size: int,
    memory: np.ndarray,
    refused: np.ndarray,
) -> None:
    """Joins components of pixels along the edges, in their order (section 3 of the paper).

    Args:
        edges: [E] int32, by ascending weight, as in `EdgeOrder`.
        weights: [E] float32.
        width: width of the grid.
        k: scale of the superpixels.
        min_size: smallest number of pixels of a superpixel.
        memory: [4, H * W] int32, working memory, whose last row takes the numbers of the superpixels.
        refused: [E] int32, working memory.
    """
    # union-find: every pixel points to its parent, and the root stands for the component
    parents, sizes, labels = memory[0], memory[1], memory[3]
    # the largest weight that a component accepts is Int(C) + tau(C), its largest inner weight plus k/|C|; a single
    # pixel has no inner weight, so it starts with k
    thresholds = memory[2].view(np.float32)
    thresholds[:] = k
    sizes[:] = 1
    for pixel in range(len(parents)):
        parents[pixel] = pixel
    # what is added to a pixel's number to get its neighbour's: right, down, down right, up right
    steps = np.array([1, width, width + 1, 1 - width])
    num_refused = 0
    for i in range(len(edges)):
        edge = edges[i]
        root = find_root(parents, edge >> 2)
        other_root = find_root(parents, (edge >> 2) + steps[edge & 3])
        if root != other_root:
            # w <= MInt(A, B) of the paper, the smaller of both thresholds; equal is enough, as in its Algorithm 1
            if weights[i] <= thresholds[root] and weights[i] <= thresholds[other_root]:
                joined = _join(parents, sizes, root, other_root)
                # edges come by ascending weight, so Int(C) of the new component is the weight of this one
                thresholds[joined] = weights[i] + k / np.float32(sizes[joined])
            else:
                refused[num_refused] = edge
                num_refused += 1
    # components below the smallest size join along the first edge that leaves them; edges inside a component stay
    # inside, so only the refused ones are asked again
    for edge in refused[:num_refused]:
        root = find_root(parents, edge >> 2)
        other_root = find_root(parents, (edge >> 2) + steps[edge & 3])
        if root != other_root and (sizes[root] < min_size or sizes[other_root] < min_size):
            _join(parents, sizes, root, other_root)
    _number_components(parents, labels, sizes)


@kernel
def find_root(parents: np.ndarray, node: int) -> int:
    """The root of a node's component; on its way it halves the path, so that later searches are short.

    Args:
        parents: [N] integers, the parent of every node; roots are their own parents.
        node: number of the node.
    """
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@kernel
def _join(parents: np.ndarray, sizes: np.ndarray, root: int, other_root: int) -> int:
    """Makes one component of two, given by their roots, and returns its root: that of the larger one."""
    if sizes[root] < sizes[other_root]:
        root, other_root = other_root, root
    parents[other_root] = root
    sizes[root] += sizes[other_root]
    return root


@kernel
def _number_components(parents: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> None:
    """Numbers the components in the order of their first pixels.

    Args:
        parents: [H * W] int32.
        labels: [H * W] int32, where the number of each pixel's component is written.
        numbers: [H * W] int32, working memory: the number of each root's component.
    """
    numbers[:] = -1
    num_labels = 0
    for pixel in range(len(parents)):
        root = find_root(parents, pixel)
        if numbers[root] < 0:
            numbers[root] = num_labels
            num_labels += 1
        labels[pixel] = numbers[root]
