"""Selective search (Uijlings et al. 2013) with R-CNN's fast strategies, on OpenCV's engine and our own ranking.

OpenCV provides segmentation and grouping; frame, strategies, filter, duplicates and order are ours, because OpenCV's
order is inverted and changes with every call (FACTS, section 1).
"""

import math
from functools import cache
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from incdet.boxes import box_areas
from incdet.config import ColorSpace, SelectiveSearchConfig, Similarity
from incdet.errors import PackageError
from incdet.structures import Image, Proposals

NAME = "selective_search"

_LONGEST_SIDE = 4
"""The frame's height is at most this many widths: bounds time and memory on narrow strips."""

_SMALLEST_SIDE = 16
"""Frames lower than this are not searched: OpenCV's engine crashes on them (opencv_contrib #705, #2102)."""


def propose(image: Image, config: SelectiveSearchConfig) -> Proposals:
    """Selective-search proposals of an image, most promising first, without duplicates.

    An image too narrow to search, or of one colour, gets one proposal: the whole image.

    Raises:
        PackageError: OpenCV was installed without its contributed modules.
    """
    frame = _frame(image, config.width)
    height, width = frame.shape[:2]
    candidates = [np.array([[0, 0, width, height]], np.int64)]
    priorities = [np.array([0.0])]
    generator = np.random.default_rng(config.seed)
    if min(height, width) >= _SMALLEST_SIDE:
        for color_space in config.color_spaces:
            converted = _convert(frame, color_space)
            for k in config.k:
                boxes = _group(frame, converted, k * config.superpixel_scale, config)
                boxes, priority = _rank(boxes, generator, len(config.similarities))
                candidates.append(boxes)
                priorities.append(priority)
    boxes, priority = np.concatenate(candidates), np.concatenate(priorities)
    return _collect(boxes, priority, config.min_side, image, (width, height))


def _frame(image: Image, width: int) -> np.ndarray:
    """The image as BGR at the working width; small photos are enlarged, as R-CNN does."""
    height = min(max(round(image.height * width / image.width), 1), _LONGEST_SIDE * width)
    shrinks = width < image.width
    pixels = cv2.resize(image.pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def _convert(frame: np.ndarray, color_space: ColorSpace) -> np.ndarray:
    codes = {"hsv": cv2.COLOR_BGR2HSV, "lab": cv2.COLOR_BGR2Lab}
    return cv2.cvtColor(frame, codes[color_space])


def _group(frame: np.ndarray, converted: np.ndarray, k: float, config: SelectiveSearchConfig) -> np.ndarray:
    """The boxes of all hierarchies that grow from one segmentation: [N, 4] int64, xyxy pixels of the frame."""
    segmentation = segmentation_module()
    search = segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(frame)
    search.addImage(converted)
    search.addGraphSegmentation(segmentation.createGraphSegmentation(config.sigma, float(k), math.ceil(k)))
    for similarity in config.similarities:
        search.addStrategy(_strategy(segmentation, similarity))
    boxes_xywh = np.asarray(search.process(), np.int64).reshape(-1, 4)
    boxes = boxes_xywh.copy()
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _strategy(segmentation: Any, similarity: Similarity) -> Any:
    """A fresh strategy object: one that is used again returns stale histograms (FACTS, section 1)."""
    prefix = "createSelectiveSearchSegmentationStrategy"
    parts = [getattr(segmentation, prefix + word.capitalize())() for word in similarity.split("_")]
    return getattr(segmentation, prefix + "Multiple")(*parts)


def _rank(boxes: np.ndarray, generator: np.random.Generator, num_hierarchies: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes in a canonical order with their priority RND * i (lower is better), i = 1 for the last merge.

    OpenCV does not tell the order of the merges; area stands for it, since a merge always comes after its parts and
    the whole image last.
    """
    order = np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], -box_areas(boxes)))
    position = np.arange(len(boxes)) // num_hierarchies + 1
    return boxes[order], generator.random(len(boxes)) * position


def _collect(
    boxes: np.ndarray, priority: np.ndarray, min_side: float, image: Image, frame_size: tuple[int, int]
) -> Proposals:
    """Orders by priority, keeps the first of duplicates, drops small boxes, maps back to the image."""
    boxes = boxes[np.argsort(priority, kind="stable")]
    _, first = np.unique(boxes, axis=0, return_index=True)
    boxes = boxes[np.sort(first)]
    large = ((boxes[:, 2:] - boxes[:, :2]) >= min_side).all(axis=1)
    # a whole image that is itself below the limit stays: every image has at least one proposal
    large[0] |= not large.any()
    factors = np.array([image.width / frame_size[0], image.height / frame_size[1]] * 2)
    mapped = (boxes[large] * factors).astype(np.float32)
    count = len(mapped)
    scores = np.linspace(1, 0, count, endpoint=False, dtype=np.float32)
    return Proposals(mapped, scores, np.full(count, NAME))


@cache
def segmentation_module() -> ModuleType:
    """`cv2.ximgproc.segmentation`, which only the contrib wheel of OpenCV has.

    Raises:
        PackageError: another OpenCV wheel is installed, over it or beside it.
    """
    module = getattr(getattr(cv2, "ximgproc", None), "segmentation", None)
    if module is None or not hasattr(module, "createSelectiveSearchSegmentation"):
        raise PackageError(
            f"selective search needs cv2.ximgproc.segmentation, which this OpenCV {cv2.__version__} lacks because "
            "another opencv wheel replaced it; run: pip uninstall -y opencv-python opencv-python-headless "
            "opencv-contrib-python-headless && pip install --force-reinstall --no-deps opencv-contrib-python"
        )
    return module
