"""Hierarchical grouping (Uijlings et al. 2013, algorithm 1): the two most similar neighbours merge, again and again."""

import heapq
from dataclasses import dataclass

import numpy as np

from incdet.config.sections import Similarity
from incdet.proposers.region_features import Regions
from incdet.proposers.segmentation import find_root
from incdet.runtime.compilation import kernel

_ONE = 1 << 29
"""Sum of a normalised histogram, in fixed point: whole numbers make sums of minima exact, whatever their order."""


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """How R superpixels became one region: a binary tree whose leaves are the superpixels 0..R-1.

    Attributes:
        merges: [R - 1, 2] int32; row m holds the two regions that merge to region R + m, the smaller number first.
        boxes: [2 R - 1, 4] int64, boxes of superpixels and merged regions, xyxy pixels of the frame, half-open.
    """

    merges: np.ndarray
    boxes: np.ndarray

    def cut(self, num_regions: int) -> np.ndarray:
        """The region that holds each superpixel when this number of regions is left.

        Args:
            num_regions: number of regions, at least 1; more than R are R.

        Returns:
            [R] int64, numbers of regions as in `boxes`.
        """
        # after the first merges every region points to the one that it merged into, or to itself
        merged_into = np.arange(len(self.boxes))
        num_superpixels = len(self.merges) + 1
        num_merges = max(num_superpixels - num_regions, 0)
        for number, merge in enumerate(self.merges[:num_merges]):
            merged_into[merge] = num_superpixels + number
        # a merged region has a larger number than the two that it is made of, so from the largest number down every
        # region finds the final one of its parent
        for region in range(len(merged_into) - 1, -1, -1):
            merged_into[region] = merged_into[merged_into[region]]
        return merged_into[:num_superpixels]


def group(regions: Regions, similarity: Similarity) -> Hierarchy:
    """Merges the most similar pair of neighbours again and again; of equal pairs the one with the smallest numbers.

    Args:
        regions: the superpixels of a segmentation.
        similarity: the measures that are added, unweighted: colour, texture, size and fill.
    """
    words = similarity.split("_")
    chosen = [counts for word, counts in (("color", regions.colors), ("texture", regions.textures)) if word in words]
    # [R, D] int32: the chosen histograms side by side
    counts = np.concatenate([np.zeros((len(regions), 0), np.int32), *chosen], axis=1)
    # [D]: factors that normalise a region's counts to a sum of `_ONE` for each measure, but for the region's size. The
    # counts of a region sum to its size times the number of channels (and orientations), which is the same for all.
    factors = [np.full(each.shape[1], _ONE * int(regions.sizes[0]) / int(each[0].sum())) for each in chosen]
    scales = np.concatenate([np.zeros(0), *factors])
    measures = ("size" in words, "fill" in words, regions.num_pixels)
    return Hierarchy(*_group(regions.sizes, regions.boxes, counts, scales, regions.neighbours, measures))


@kernel
def _group(
    first_sizes: np.ndarray,
    first_boxes: np.ndarray,
    counts: np.ndarray,
    scales: np.ndarray,
    neighbours: np.ndarray,
    measures: tuple[bool, bool, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 1 of the paper, with a priority queue of pairs.

    Args:
        first_sizes: [R] int32, numbers of pixels of the superpixels.
        first_boxes: [R, 4] int32, boxes of the superpixels.
        counts: [R, D] int32, histograms of the superpixels; they are overwritten by those of merged regions.
        scales: [D] float64, factors that normalise counts, but for the region's size.
        neighbours: [P, 2] int64, pairs of superpixels that touch.
        measures: whether size counts, whether fill counts, and the number of pixels of the frame.

    Returns:
        Merges [R - 1, 2] int32 and boxes [2 R - 1, 4] int64, as in `Hierarchy`.
    """
    num_first = len(first_sizes)
    num_regions = 2 * num_first - 1
    # arrays are copied element by element: for whole rows, numba spends seconds on compiling their error messages
    merges = np.empty((num_first - 1, 2), np.int32)
    sizes, boxes = np.empty(num_regions, np.int64), np.empty((num_regions, 4), np.int64)
    # the row of a region's histogram; a merged region takes over the row of the first of its two regions
    rows, histograms = np.arange(num_regions), np.empty_like(counts)
    for region in range(num_first):
        sizes[region] = first_sizes[region]
        for side in range(4):
            boxes[region, side] = first_boxes[region, side]
        _normalise(counts[region], scales, sizes[region], histograms[region])
    regions = (sizes, boxes, rows, histograms)
    # a heap of (-similarity, smaller number, larger number): the most similar pair comes first, and among equals the
    # one with the smallest numbers; the empty comprehension tells numba the types of its entries
    queue = [(0.0, 0, 0) for _ in range(0)]
    for i in range(len(neighbours)):
        one, other = neighbours[i, 0], neighbours[i, 1]
        queue.append((-_similarity(regions, one, other, measures), one, other))
    heapq.heapify(queue)
    # every region points to the one that it merged into, or to itself
    merged_into, lists = np.arange(num_regions), _list_neighbours(neighbours, num_regions)
    others, following, heads, _, _ = lists
    for new in range(num_first, num_regions):
        # pairs stay in the queue when one of their regions merges with a third; they are skipped here
        _, one, other = heapq.heappop(queue)
        while merged_into[one] != one or merged_into[other] != other:
            _, one, other = heapq.heappop(queue)
        merges[new - num_first, 0], merges[new - num_first, 1] = one, other
        merged_into[one] = merged_into[other] = new
        # sizes add, the box is the union of both
        sizes[new] = sizes[one] + sizes[other]
        for side in range(2):
            boxes[new, side] = min(boxes[one, side], boxes[other, side])
            boxes[new, side + 2] = max(boxes[one, side + 2], boxes[other, side + 2])
        # sums of counts, normalised, are the mean of both histograms weighted by size (the paper's propagation)
        row = rows[new] = rows[one]
        for i in range(counts.shape[1]):
            counts[row, i] += counts[rows[other], i]
        _normalise(counts[row], scales, sizes[new], histograms[row])
        # the new region's pairs enter the queue
        _join_lists(lists, merged_into, one, other, new)
        entry = heads[new]
        while entry >= 0:
            region = others[entry]
            heapq.heappush(queue, (-_similarity(regions, region, new, measures), region, new))
            entry = following[entry]
    return merges, boxes


NeighbourLists = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""A linked list of neighbours for each region, in five arrays: the region of each entry, the next entry of each entry
(-1 after the last), and for each region the first entry of its list, the last entry, and the last region whose list it
entered."""


@kernel
def _list_neighbours(neighbours: np.ndarray, num_regions: int) -> NeighbourLists:
    """Makes the lists of the superpixels from pairs [P, 2]: entry 2 p + s of pair p is in the list of its region s."""
    others, following = np.empty(2 * len(neighbours), np.int64), np.full(2 * len(neighbours), -1)
    heads, tails, entered = np.full(num_regions, -1), np.full(num_regions, -1), np.full(num_regions, -1)
    for entry in range(2 * len(neighbours)):
        region = neighbours[entry >> 1, entry & 1]
        others[entry] = neighbours[entry >> 1, 1 - (entry & 1)]
        if heads[region] < 0:
            heads[region] = entry
        else:
            following[tails[region]] = entry
        tails[region] = entry
    return others, following, heads, tails, entered


@kernel
def _join_lists(lists: NeighbourLists, merged_into: np.ndarray, one: int, other: int, new: int) -> None:
    """Makes the list of a merged region of those of its two regions, without copying entries.

    Args:
        lists: the lists of all regions.
        merged_into: [2 R - 1] int64, the region that each region merged into, or itself.
        one: number of a region.
        other: number of the region that it merges with.
        new: number of the merged region.
    """
    others, following, heads, tails, entered = lists
    # one list after the other
    following[tails[one]] = heads[other]
    heads[new] = last = -1
    entry = heads[one]
    while entry >= 0:
        # entries name regions of an earlier time; the region that holds them by now is the neighbour
        region = find_root(merged_into, others[entry])
        # the merged region itself is none of its neighbours, and every other region stays once
        if region != new and entered[region] != new:
            entered[region], others[entry] = new, region
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
def _normalise(counts: np.ndarray, scales: np.ndarray, size: int, histogram: np.ndarray) -> None:
    """Writes the counts [D] of a region of this size to histogram [D], in fixed point with a sum of `_ONE`."""
    scale = 1 / size
    for i in range(len(counts)):
        histogram[i] = np.int32(counts[i] * scales[i] * scale)


@kernel
def _similarity(
    regions: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    one: int,
    other: int,
    measures: tuple[bool, bool, int],
) -> float:
    """The sum of the chosen measures for two regions a and b (section 3.2 of the paper).

    Colour and texture are sums of minima of the normalised histograms, size is 1 - (|a| + |b|) / |image|, and fill is
    1 - (|box of both| - |a| - |b|) / |image|.

    Args:
        regions: sizes, boxes, rows of histograms, and histograms.
        one: number of a region.
        other: number of another region.
        measures: whether size counts, whether fill counts, and the number of pixels of the frame.
    """
    sizes, boxes, rows, histograms = regions
    by_size, by_fill, num_pixels = measures
    first, second = histograms[rows[one]], histograms[rows[other]]
    common = np.int32(0)
    for i in range(len(first)):
        common += min(first[i], second[i])
    # size and fill stay whole numbers until the end, so that equal pairs are exactly equal
    together, missing = sizes[one] + sizes[other], 0
    if by_size:
        missing += together
    if by_fill:
        width = max(boxes[one, 2], boxes[other, 2]) - min(boxes[one, 0], boxes[other, 0])
        height = max(boxes[one, 3], boxes[other, 3]) - min(boxes[one, 1], boxes[other, 1])
        missing += width * height - together
    return common / _ONE + by_size + by_fill - missing / num_pixels
