"""Selective search (Uijlings et al. 2013) as R-CNN ran it: several segmentations and hierarchies, one ranking.

GoogLeNet's change to it, superpixels of twice the size, is a setting: k and the smallest superpixel are both doubled,
because only then is the number of proposals halved (docs/facts.md).
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import PIL.Image

from incdet.config.sections import ColorSpace, SelectiveSearchConfig
from incdet.proposers.colors import convert_colors
from incdet.proposers.grouping import Hierarchy, group
from incdet.proposers.region_features import measure_regions, texture_codes
from incdet.proposers.segmentation import EdgeOrder, order_edges, segment
from incdet.runtime.worker_processes import num_cores
from incdet.structures import Image, Proposals

Entry = TypeVar("Entry")
Result = TypeVar("Result")

SOURCE = "selective_search"

VERSION = 1
"""Counted up whenever an image's boxes or their order change: stored proposals of another version are not used."""

_MAX_FRAME_PIXELS = 16_000_000
"""Number of pixels that no frame exceeds, whatever the configuration; it bounds memory."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """One segmentation, and the hierarchies that grow from it.

    Attributes:
        color_space: colour space of the segmentation and of its regions' colours and textures.
        k: scale of the segmentation, after scaling by the configuration.
        labels: [H, W] int32, numbers of the superpixels, 0..R-1.
        hierarchies: one hierarchy for each similarity.
    """

    color_space: ColorSpace
    k: float
    labels: np.ndarray
    hierarchies: tuple[Hierarchy, ...]


@dataclass(frozen=True, eq=False)
class _PreparedColors:
    """What all segmentations in one colour space share.

    Attributes:
        color_space: name of the colour space.
        channels: [C, H, W] uint8.
        edges: the edges of the grid of pixels, sorted.
        textures: [C, H, 4, W] uint8, the texture codes.
    """

    color_space: ColorSpace
    channels: np.ndarray
    edges: EdgeOrder
    textures: np.ndarray


def propose(image: Image, config: SelectiveSearchConfig, num_threads: int | None = None) -> Proposals:
    """Selective-search proposals of an image, most promising first, without duplicates.

    An image of one colour, or one so small that every box is below `min_side`, gets one proposal: the whole image.

    Args:
        image: an image of any size.
        config: the strategies, the frame and the ranking.
        num_threads: number of threads, which does not change the boxes; None is one for each core of this process.

    Raises:
        PackageError: the engine is "opencv", and OpenCV was installed without its contributed modules.
    """
    frame = make_frame(image, config.width)
    # for each segmentation boxes [N, 4] and positions [N]
    if config.engine == "opencv":
        from incdet.proposers import opencv_engine

        candidates = opencv_engine.group_all(frame, config)
    else:
        candidates = [ranked_boxes(grouping) for grouping in group_all(frame, config, num_threads)]
    boxes = np.concatenate([boxes for boxes, _ in candidates])
    positions = np.concatenate([positions for _, positions in candidates])
    # section 3.3: v = RND * i, where i is 1 for the last merge of a hierarchy; the lowest values come first
    priorities = np.random.default_rng(config.seed).random(len(boxes)) * positions
    return _select_boxes(boxes[np.argsort(priorities, kind="stable")], config.min_side, image, frame)


def engine_version(config: SelectiveSearchConfig) -> str:
    """What decides the boxes besides the configuration: OpenCV's set of boxes differs between its versions."""
    if config.engine == "opencv":
        import cv2

        return f"opencv {cv2.__version__}"
    return f"incdet {VERSION}"


def make_frame(image: Image, width: int) -> np.ndarray:
    """Resizes an image to the frame in which the search runs.

    The frame is `width` pixels wide, as in R-CNN. Long strips make two exceptions: an image more than four times as
    wide as high gets a frame whose height is a quarter of `width`, so that objects stay large enough to be found, and
    no frame has more pixels than one that is four times as high as wide, so that time and memory stay bounded.

    Args:
        image: an image of any size.
        width: width of the frame in pixels; smaller images are enlarged.

    Returns:
        [H, W, 3] uint8, RGB.
    """
    scale = max(width / image.width, width / 4 / min(image.width, image.height))
    max_pixels = min(4 * width**2, _MAX_FRAME_PIXELS)
    scale = min(scale, math.sqrt(max_pixels / (image.width * image.height)))
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    # R-CNN's imresize is the same filter; Pillow computes it in whole numbers, alike on every machine
    frame = PIL.Image.fromarray(image.pixels).resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=3)
    return np.asarray(frame)


def group_all(frame: np.ndarray, config: SelectiveSearchConfig, num_threads: int | None = None) -> list[Grouping]:
    """Segments a frame for each colour space and k, and groups each segmentation by each similarity.

    Args:
        frame: [H, W, 3] uint8, RGB.
        config: the strategies.
        num_threads: number of threads; None is one for each core of this process.
    """

    def prepare(color_space: ColorSpace) -> _PreparedColors:
        channels = convert_colors(frame, color_space)
        return _PreparedColors(color_space, channels, order_edges(channels, config.sigma), texture_codes(channels))

    def grow(task: tuple[_PreparedColors, float]) -> Grouping:
        prepared, k = task
        # the smallest superpixel has k pixels, as in R-CNN
        labels = segment(prepared.edges, k, math.ceil(k))
        regions = measure_regions(labels, prepared.channels, prepared.textures)
        hierarchies = tuple(group(regions, similarity) for similarity in config.similarities)
        return Grouping(prepared.color_space, k, labels, hierarchies)

    colors = _run_in_threads(prepare, config.color_spaces, num_threads)
    tasks = [(prepared, k * config.superpixel_scale) for prepared in colors for k in config.k]
    return _run_in_threads(grow, tasks, num_threads)


def ranked_boxes(grouping: Grouping) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of a grouping, and their positions i in the ranking (section 3.3 of the paper).

    Returns:
        Boxes [N, 4] int64, xyxy pixels of the frame, and positions [N] float64.
    """
    num_superpixels = int(grouping.labels.max()) + 1
    num_merges = num_superpixels - 1
    # the merges of each hierarchy count down to 1, which is the whole image
    boxes = [hierarchy.boxes[num_superpixels:] for hierarchy in grouping.hierarchies]
    positions = [np.arange(num_merges, 0, -1.0) for _ in grouping.hierarchies]
    # the superpixels, which all hierarchies share, come once, with the number that precedes the first merge's
    boxes.append(grouping.hierarchies[0].boxes[:num_superpixels])
    positions.append(np.full(num_superpixels, num_merges + 1.0))
    return np.concatenate(boxes), np.concatenate(positions)


def _select_boxes(boxes: np.ndarray, min_side: float, image: Image, frame: np.ndarray) -> Proposals:
    """Keeps the first of equal boxes, drops small ones, and maps the rest to the image.

    Args:
        boxes: [N, 4] integers, xyxy pixels of the frame, best first.
        min_side: shortest side of a kept box, in pixels of the frame.
        image: the image.
        frame: [H, W, 3] uint8, the frame.
    """
    height, width = frame.shape[:2]
    # one number for each box, which is faster to compare than four
    x1, y1, x2, y2 = boxes.astype(np.int64).T
    keys = ((y1 * (height + 1) + y2) * (width + 1) + x1) * (width + 1) + x2
    _, first = np.unique(keys, return_index=True)
    boxes = boxes[np.sort(first)]
    sides = boxes[:, 2:] - boxes[:, :2]
    boxes = boxes[(sides >= min_side).all(axis=1)]
    if len(boxes) == 0:
        boxes = np.array([[0, 0, width, height]])
    factors = np.array([image.width / width, image.height / height] * 2)
    mapped = (boxes * factors).astype(np.float32)
    # selective search has an order but no scores: they fall evenly from 1
    scores = np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32)
    return Proposals(mapped, scores, np.full(len(boxes), SOURCE))


def _run_in_threads(work: Callable[[Entry], Result], entries: Iterable[Entry], num_threads: int | None) -> list[Result]:
    """The results of all entries, in order; the kernels let go of Python's lock, so threads run side by side.

    `runtime.threads` is not used, because it needs torch, which takes seconds to load.
    """
    num_threads = num_threads or num_cores()
    if num_threads == 1:
        return [work(entry) for entry in entries]
    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(work, entries))
