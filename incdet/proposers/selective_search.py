"""Selective search (Uijlings et al. 2013) as R-CNN ran it: several segmentations and hierarchies, one ranking."""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import PIL.Image

from incdet.config.sections import ColorSpace, SelectiveSearchConfig
from incdet.proposers.colors import convert
from incdet.proposers.grouping import Hierarchy, group
from incdet.proposers.region_features import measure_regions, texture_codes
from incdet.proposers.segmentation import EdgeOrder, order_edges, segment
from incdet.runtime.worker_processes import num_cores
from incdet.structures import Image, Proposals

Item = TypeVar("Item")
Result = TypeVar("Result")

NAME = "selective_search"

VERSION = 1
"""Counted up whenever an image's boxes or their order change: stored proposals of another version are not used."""

_MOST_PIXELS = 16_000_000
"""Of a frame, whatever the configuration; bounds memory."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """What grows from one segmentation.

    Attributes:
        color_space, k: of the segmentation; k is scaled.
        labels: [H, W] int32, the superpixels 0..R-1.
        hierarchies: one for each similarity.
    """

    color_space: ColorSpace
    k: float
    labels: np.ndarray
    hierarchies: tuple[Hierarchy, ...]


def propose(image: Image, config: SelectiveSearchConfig, num_threads: int | None = None) -> Proposals:
    """Selective-search proposals of an image, most promising first, without duplicates.

    An image of one colour, or so small that every box is below `min_side`, gets one proposal: the whole image.

    Args:
        image: of any size.
        config: strategies, frame and ranking.
        num_threads: the same boxes come out whatever their number; None is one for each core of this process.

    Raises:
        PackageError: engine "opencv" without OpenCV's contributed modules.
    """
    frame = make_frame(image, config.width)
    if config.engine == "opencv":
        from incdet.proposers import opencv_engine

        candidates = opencv_engine.group_all(frame, config)
    else:
        candidates = [ranked_boxes(grouping) for grouping in group_all(frame, config, num_threads)]
    boxes, positions = (np.concatenate(column) for column in zip(*candidates, strict=True))
    # section 4.4: v = RND * i with i = 1 for the last merge of a hierarchy; the lowest come first
    priorities = np.random.default_rng(config.seed).random(len(boxes)) * positions
    return _collect(boxes[np.argsort(priorities, kind="stable")], config.min_side, image, frame)


def engine_version(config: SelectiveSearchConfig) -> str:
    """What decides the boxes besides the configuration: OpenCV's box set differs between its versions."""
    return f"opencv {version('opencv-contrib-python')}" if config.engine == "opencv" else f"incdet {VERSION}"


def make_frame(image: Image, width: int) -> np.ndarray:
    """The image as the search sees it: [H, W, 3] uint8 RGB, `width` pixels wide, as R-CNN has it.

    Strips keep their shape, too: those more than four times as wide as high get a quarter of `width` as their height,
    so that objects stay large enough to be found, and no frame has more pixels than one four times as high as wide, so
    that time and memory stay bounded.
    """
    scale = max(width / image.width, width / 4 / min(image.width, image.height))
    most_pixels = min(4 * width**2, _MOST_PIXELS)
    scale = min(scale, math.sqrt(most_pixels / (image.width * image.height)))
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    # R-CNN's imresize is the same filter; Pillow computes it in whole numbers, alike on every machine
    picture = PIL.Image.fromarray(image.pixels).resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=3)
    return np.asarray(picture)


def group_all(frame: np.ndarray, config: SelectiveSearchConfig, num_threads: int | None = None) -> list[Grouping]:
    """Segments a frame for each colour space and k, and groups each segmentation by each similarity.

    Args:
        frame: [H, W, 3] uint8, RGB.
        config: strategies.
        num_threads: as `propose`.
    """

    def prepare(space: ColorSpace) -> tuple[ColorSpace, np.ndarray, EdgeOrder, np.ndarray]:
        channels = convert(frame, space)
        return space, channels, order_edges(channels, config.sigma), texture_codes(channels)

    def grow(task: tuple[tuple[ColorSpace, np.ndarray, EdgeOrder, np.ndarray], float]) -> Grouping:
        (space, channels, edges, textures), k = task
        labels = segment(edges, k, math.ceil(k))
        regions = measure_regions(labels, channels, textures)
        return Grouping(space, k, labels, tuple(group(regions, similarity) for similarity in config.similarities))

    prepared = _map_in_threads(prepare, config.color_spaces, num_threads)
    tasks = [(space, k * config.superpixel_scale) for space in prepared for k in config.k]
    return _map_in_threads(grow, tasks, num_threads)


def ranked_boxes(grouping: Grouping) -> tuple[np.ndarray, np.ndarray]:
    """A grouping's boxes and their positions i in the ranking: [N, 4] xyxy pixels of the frame, and [N].

    The merges of each hierarchy count down to 1, the whole image. The superpixels, which all hierarchies share, are
    there once, with the number after the first merge's.
    """
    num_superpixels = int(grouping.labels.max()) + 1
    boxes = [hierarchy.boxes[num_superpixels:] for hierarchy in grouping.hierarchies]
    boxes.append(grouping.hierarchies[0].boxes[:num_superpixels])
    merges = np.arange(num_superpixels - 1, 0, -1.0)
    positions = [*[merges] * len(grouping.hierarchies), np.full(num_superpixels, float(num_superpixels))]
    return np.concatenate(boxes), np.concatenate(positions)


def _collect(boxes: np.ndarray, min_side: float, image: Image, frame: np.ndarray) -> Proposals:
    """Keeps the first of duplicates, drops small boxes, maps back to the image."""
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = boxes.astype(np.int64).T
    names = ((y1 * (height + 1) + y2) * (width + 1) + x1) * (width + 1) + x2
    _, first = np.unique(names, return_index=True)
    boxes = boxes[np.sort(first)]
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) >= min_side).all(axis=1)]
    if len(boxes) == 0:
        boxes = np.array([[0, 0, width, height]])
    factors = np.array([image.width / width, image.height / height] * 2)
    mapped = (boxes * factors).astype(np.float32)
    scores = np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32)
    return Proposals(mapped, scores, np.full(len(boxes), NAME))


def _map_in_threads(function: Callable[[Item], Result], items: Iterable[Item], num_threads: int | None) -> list[Result]:
    num_threads = num_threads or num_cores()
    if num_threads == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(function, items))
