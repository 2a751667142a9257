"""Hierarchical grouping (Uijlings et al. 2013, algorithm 1): the two most similar neighbours merge, again and again."""

import heapq
from dataclasses import dataclass

import numpy as np

from incdet.config.sections import Similarity
from incdet.proposers.region_features import Regions
from incdet.proposers.segmentation import find_root
from incdet.runtime.compilation import kernel

_ONE = 1 << 29
"""A histogram's sum in the fixed point in which it is compared: sums of minima are exact and need no order."""


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """How R superpixels became one region.

    Attributes:
        merges: [R - 1, 2] int32, the parts of region R, R + 1, ..., smaller number first.
        boxes: [2 R - 1, 4] int64, of superpixels and merged regions, xyxy pixels of the frame, half-open.
    """

    merges: np.ndarray
    boxes: np.ndarray

    def cut(self, num_regions: int) -> np.ndarray:
        """Where every superpixel is when this many regions are left: [R] int64, numbers as in `boxes`."""
        wholes = np.arange(len(self.boxes))
        num_superpixels = len(self.merges) + 1
        for number, parts in enumerate(self.merges[: max(num_superpixels - num_regions, 0)]):
            wholes[parts] = num_superpixels + number
        # a whole has a larger number than its parts, so going down every region's whole is known before its parts ask
        for region in range(len(wholes) - 1, -1, -1):
            wholes[region] = wholes[wholes[region]]
        return wholes[:num_superpixels]


def group(regions: Regions, similarity: Similarity) -> Hierarchy:
    """Merges the most similar pair of neighbours again and again; of equal pairs the one with the smallest numbers.

    Args:
        regions: of a segmentation.
        similarity: the measures that are added, unweighted: colour, texture, size and fill.
    """
    words = similarity.split("_")
    parts = [part for word, part in (("color", regions.colors), ("texture", regions.textures)) if word in words]
    counts = np.concatenate([np.zeros((len(regions), 0), np.int32), *parts], axis=1)
    # every row of a part sums to its region's size times the same number, so this makes all sums one
    shares = [np.full(part.shape[1], _ONE * int(regions.sizes[0]) / int(part[0].sum())) for part in parts]
    measures = ("size" in words, "fill" in words, regions.num_pixels)
    scales = np.concatenate([np.zeros(0), *shares])
    return Hierarchy(*_group(regions.sizes, regions.boxes, counts, scales, regions.neighbours, measures))


@kernel
def _group(
    first_sizes: np.ndarray,
    first_boxes: np.ndarray,
    counts: np.ndarray,
    shares: np.ndarray,
    neighbours: np.ndarray,
    measures: tuple[bool, bool, int],
) -> tuple[np.ndarray, np.ndarray]:
    num_first = len(first_sizes)
    num_regions = 2 * num_first - 1
    # element by element: what numba makes of whole rows brings seconds of compiling for their error messages
    merges = np.empty((num_first - 1, 2), np.int32)
    sizes, boxes = np.empty(num_regions, np.int64), np.empty((num_regions, 4), np.int64)
    # a merged region takes over the histogram of its first part
    rows, histograms = np.arange(num_regions), np.empty_like(counts)
    for region in range(num_first):
        sizes[region] = first_sizes[region]
        for side in range(4):
            boxes[region, side] = first_boxes[region, side]
        _normalise(counts[region], shares, sizes[region], histograms[region])
    regions = (sizes, boxes, rows, histograms)
    queue = [(0.0, 0, 0) for _ in range(0)]
    for i in range(len(neighbours)):
        one, other = neighbours[i, 0], neighbours[i, 1]
        queue.append((-_similarity(regions, one, other, measures), one, other))
    heapq.heapify(queue)
    wholes, lists = np.arange(num_regions), _link(neighbours, num_regions)
    others, following, heads, _, _ = lists
    for new in range(num_first, num_regions):
        _, one, other = heapq.heappop(queue)
        while wholes[one] != one or wholes[other] != other:
            _, one, other = heapq.heappop(queue)
        merges[new - num_first, 0], merges[new - num_first, 1] = one, other
        wholes[one] = wholes[other] = new
        sizes[new] = sizes[one] + sizes[other]
        for side in range(2):
            boxes[new, side] = min(boxes[one, side], boxes[other, side])
            boxes[new, side + 2] = max(boxes[one, side + 2], boxes[other, side + 2])
        row = rows[new] = rows[one]
        for i in range(counts.shape[1]):
            counts[row, i] += counts[rows[other], i]
        _normalise(counts[row], shares, sizes[new], histograms[row])
        _join_lists(lists, wholes, one, other, new)
        entry = heads[new]
        while entry >= 0:
            region = others[entry]
            heapq.heappush(queue, (-_similarity(regions, region, new, measures), region, new))
            entry = following[entry]
    return merges, boxes


Lists = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Linked lists of neighbours: an entry's region, the next entry or -1, and for every region its first and last entry
and the last region in whose list it was met."""


@kernel
def _link(neighbours: np.ndarray, num_regions: int) -> Lists:
    others, following = np.empty(2 * len(neighbours), np.int64), np.full(2 * len(neighbours), -1)
    heads, tails, met = np.full(num_regions, -1), np.full(num_regions, -1), np.full(num_regions, -1)
    for entry in range(2 * len(neighbours)):
        region = neighbours[entry >> 1, entry & 1]
        others[entry] = neighbours[entry >> 1, 1 - (entry & 1)]
        if heads[region] < 0:
            heads[region] = entry
        else:
            following[tails[region]] = entry
        tails[region] = entry
    return others, following, heads, tails, met


@kernel
def _join_lists(lists: Lists, wholes: np.ndarray, one: int, other: int, new: int) -> None:
    """The neighbours of two regions become those of the new one, each once, as the regions they belong to by now."""
    others, following, heads, tails, met = lists
    following[tails[one]] = heads[other]
    heads[new] = last = -1
    entry = heads[one]
    while entry >= 0:
        region = find_root(wholes, others[entry])
        if region != new and met[region] != new:
            met[region], others[entry] = new, region
            if last < 0:
                heads[new] = entry
            else:
                following[last] = entry
            last = entry
        entry = following[entry]
    if last >= 0:
        following[last] = -1
    tails[new] = last


@kernel
def _normalise(counts: np.ndarray, shares: np.ndarray, size: int, histogram: np.ndarray) -> None:
    scale = 1 / size
    for i in range(len(counts)):
        histogram[i] = np.int32(counts[i] * shares[i] * scale)


@kernel
def _similarity(
    regions: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    one: int,
    other: int,
    measures: tuple[bool, bool, int],
) -> float:
    """The sum of the chosen measures, section 3.2; regions are (sizes, boxes, rows of histograms, histograms)."""
    sizes, boxes, rows, histograms = regions
    by_size, by_fill, num_pixels = measures
    first, second = histograms[rows[one]], histograms[rows[other]]
    common = np.int32(0)
    for i in range(len(first)):
        common += min(first[i], second[i])
    # size and fill in whole numbers until the end, so that equal pairs are exactly equal
    together, missing = sizes[one] + sizes[other], 0
    if by_size:
        missing += together
    if by_fill:
        width = max(boxes[one, 2], boxes[other, 2]) - min(boxes[one, 0], boxes[other, 0])
        height = max(boxes[one, 3], boxes[other, 3]) - min(boxes[one, 1], boxes[other, 1])
        missing += width * height - together
    return common / _ONE + by_size + by_fill - missing / num_pixels
