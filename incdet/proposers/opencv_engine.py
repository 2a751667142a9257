"""OpenCV's selective search, a peer to measure against: how it departs from the paper is in FACTS, section 1.

Frame, strategies, colours, filter, duplicates and order are ours, because OpenCV's order is inverted and changes with
every call.
"""

import math
from functools import cache
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from incdet.config.sections import SelectiveSearchConfig, Similarity
from incdet.errors import PackageError
from incdet.ops.boxes import box_areas
from incdet.proposers.colors import convert

_SMALLEST_SIDE = 16
"""Frames lower than this are not searched: OpenCV's engine crashes on them (opencv_contrib #705, #2102)."""


def group_all(frame: np.ndarray, config: SelectiveSearchConfig) -> list[tuple[np.ndarray, np.ndarray]]:
    """Boxes and their positions, as `selective_search.ranked_boxes` gives them, for each colour space and k.

    OpenCV does not tell the order of the merges; area stands for it, since a merge always comes after its parts and
    the whole image last.

    Raises:
        PackageError: OpenCV was installed without its contributed modules.
    """
    segmentation_module()
    height, width = frame.shape[:2]
    if min(height, width) < _SMALLEST_SIDE:
        return [(np.array([[0, 0, width, height]]), np.ones(1))]
    groupings = []
    for color_space in config.color_spaces:
        channels = convert(frame, color_space)
        # OpenCV wants three channels; a single one is repeated
        converted = np.ascontiguousarray(channels[np.arange(3) % len(channels)].transpose(1, 2, 0))
        for k in config.k:
            boxes = _group(frame, converted, k * config.superpixel_scale, config)
            order = np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], -box_areas(boxes)))
            groupings.append((boxes[order], np.arange(len(boxes)) // len(config.similarities) + 1.0))
    return groupings


def _group(frame: np.ndarray, converted: np.ndarray, k: float, config: SelectiveSearchConfig) -> np.ndarray:
    """The boxes of all hierarchies that grow from one segmentation: [N, 4] int64, xyxy pixels of the frame."""
    segmentation = segmentation_module()
    search = segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
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
