"""OpenCV's selective search, a peer to measure against; docs/facts.md tells how it departs from the paper.

OpenCV only segments and groups. Its order is inverted and changes with every call, so frame, strategies, colours,
filter, duplicates and order are those of `selective_search`.
"""

import math
import warnings
from functools import cache
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from incdet.config.sections import SelectiveSearchConfig, Similarity
from incdet.errors import PackageError
from incdet.ops.boxes import box_areas, boxes_from_xywh
from incdet.proposers.colors import convert_colors
from incdet.runtime.opencv_wheels import REMEDY, require_whole_opencv

_MIN_FRAME_SIDE = 16
"""Shortest side of a frame that is searched, in pixels: OpenCV crashes on smaller ones (opencv_contrib #705, #2102)."""


_MAX_ASPECT = 8
"""Largest ratio of the sides of a frame that OpenCV searches."""


def group_all(frame: np.ndarray, config: SelectiveSearchConfig) -> list[tuple[np.ndarray, np.ndarray]]:
    """The boxes that OpenCV finds, ranked, for each colour space and k.

    Args:
        frame: [H, W, 3] uint8, RGB.
        config: the strategies.

    Returns:
        Boxes [N, 4], xyxy pixels of the frame, and positions [N] of each segmentation, as
        `selective_search.ranked_boxes` gives them.

    Raises:
        PackageError: OpenCV was installed without its contributed modules.
    """
    segmentation_module()
    height, width = frame.shape[:2]
    if min(height, width) < _MIN_FRAME_SIDE:
        return [(np.array([[0, 0, width, height]]), np.ones(1))]
    narrow = max(height, width) / min(height, width)
    # rounding may leave a shrunk frame a little narrower
    if narrow > _MAX_ASPECT + 1:
        return _group_shrunk(frame, config, narrow / _MAX_ASPECT)
    groupings = []
    for color_space in config.color_spaces:
        channels = convert_colors(frame, color_space)
        # [C, H, W] -> [H, W, 3]: OpenCV wants three channels, so one channel, or the first of two, is repeated
        converted = np.ascontiguousarray(channels[np.arange(3) % len(channels)].transpose(1, 2, 0))
        for k in config.k:
            boxes = _group(frame, converted, k * config.superpixel_scale, config)
            # OpenCV does not tell the order of the merges. Area stands for it, because the box of a merged region holds
            # those of the two that it is made of, and the whole image is the largest; corners decide among equal areas.
            order = np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], -box_areas(boxes)))
            # the hierarchies of all similarities come mixed, so every position stands once for each of them
            positions = np.arange(len(boxes)) // len(config.similarities) + 1.0
            groupings.append((boxes[order], positions))
    return groupings


def _group_shrunk(
    frame: np.ndarray, config: SelectiveSearchConfig, factor: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same for a long strip, whose longer side is shrunk: OpenCV's time grows with the square of its length.

    Args:
        frame: [H, W, 3] uint8, RGB.
        config: the strategies.
        factor: factor by which the longer side is shrunk.
    """
    height, width = frame.shape[:2]
    size = (width, max(round(height / factor), 1)) if height > width else (max(round(width / factor), 1), height)
    warnings.warn(
        f"OpenCV's engine searches strips of {width}x{height} pixels shrunk to {size[0]}x{size[1]}, because its time "
        "grows with the square of their length; engine 'incdet' searches them whole",
        RuntimeWarning,
        stacklevel=3,
    )
    shrunk = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    scale = np.array([width / size[0], height / size[1]] * 2)
    return [(np.rint(boxes * scale).astype(np.int64), positions) for boxes, positions in group_all(shrunk, config)]


def _group(frame: np.ndarray, converted: np.ndarray, k: float, config: SelectiveSearchConfig) -> np.ndarray:
    """The boxes of all hierarchies that grow from one segmentation.

    Args:
        frame: [H, W, 3] uint8, RGB.
        converted: [H, W, 3] uint8, the frame in the colour space of the segmentation.
        k: threshold of the segmentation, scaled; the smallest superpixel has as many pixels.
        config: the similarities and the blur.

    Returns:
        [N, 4] int64, xyxy pixels of the frame.
    """
    segmentation = segmentation_module()
    search = segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    search.addImage(converted)
    search.addGraphSegmentation(segmentation.createGraphSegmentation(config.sigma, float(k), math.ceil(k)))
    for similarity in config.similarities:
        search.addStrategy(_strategy(segmentation, similarity))
    return boxes_from_xywh(np.asarray(search.process(), np.int64).reshape(-1, 4))


def _strategy(segmentation: Any, similarity: Similarity) -> Any:
    """OpenCV's object for a similarity, made anew: one that is used again returns stale histograms (docs/facts.md)."""
    prefix = "createSelectiveSearchSegmentationStrategy"
    measures = [getattr(segmentation, prefix + word.capitalize())() for word in similarity.split("_")]
    return getattr(segmentation, prefix + "Multiple")(*measures)


@cache
def segmentation_module() -> ModuleType:
    """`cv2.ximgproc.segmentation`, which only the contrib wheel of OpenCV has.

    Raises:
        PackageError: another OpenCV wheel is installed, over it or beside it.
    """
    require_whole_opencv(cv2)
    module = getattr(getattr(cv2, "ximgproc", None), "segmentation", None)
    if module is None or not hasattr(module, "createSelectiveSearchSegmentation"):
        raise PackageError(
            f"selective search needs cv2.ximgproc.segmentation, which this OpenCV {cv2.__version__} lacks because "
            f"another opencv wheel replaced it; run: {REMEDY}"
        )
    return module
