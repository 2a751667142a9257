"""The last stage: region scores become detections by threshold, per-class NMS and box voting."""

from typing import NamedTuple

import numpy as np

from incdet.config.sections import DetectionsConfig
from incdet.detections import Detections
from incdet.ops.boxes import clip_boxes
from incdet.ops.nms import nms_by_class, vote_on_boxes
from incdet.structures import Image, RegionScores


class Candidates(NamedTuple):
    """Pairs of a region and a class that may become detections, best score first.

    Attributes:
        regions: [N] int64, rows of the region scores.
        boxes: [N, 4] float32, xyxy pixels.
        values: [N] float32 in [0, 1], probability of the class.
        class_ids: [N] int64.
    """

    regions: np.ndarray
    boxes: np.ndarray
    values: np.ndarray
    class_ids: np.ndarray


def select_detections(
    scores: RegionScores, image: Image, class_names: tuple[str, ...], config: DetectionsConfig
) -> Detections:
    """Returns the best boxes of every class that do not overlap each other, best score first.

    The defaults follow R-CNN's ILSVRC submission, with per-class NMS at IoU 0.3. They differ in two points. R-CNN keeps
    at most 100 boxes per image and class, incdet 100 per image. R-CNN takes the boxes as they are, incdet averages each
    with the boxes around it (`voting_iou`).

    Args:
        scores: Class probabilities of the image's regions.
        image: The image.
        class_names: The C classes.
        config: Thresholds and limits.
    """
    candidates = list_candidates(scores, class_names, config)
    boxes, values, class_ids = candidates.boxes, candidates.values, candidates.class_ids
    kept = keep_best(candidates, config)
    found = boxes[kept]
    if config.voting_iou is not None:
        found = clip_boxes(vote_on_boxes(boxes, values, class_ids, kept, config.voting_iou), image.width, image.height)
    return Detections(
        image=image.name,
        width=image.width,
        height=image.height,
        boxes=found,
        # averages of float32 probabilities may exceed 1 by a rounding
        scores=np.minimum(values[kept], 1),
        class_ids=class_ids[kept],
        class_names=class_names,
    )


def list_candidates(scores: RegionScores, class_names: tuple[str, ...], config: DetectionsConfig) -> Candidates:
    """Returns every pair of a region and a class above the score threshold; arguments as for `select_detections`."""
    wanted = np.array([config.classes is None or name in config.classes for name in class_names], bool)
    # a region may be detected as several classes: one candidate for each probability [R, C] above the threshold
    regions, class_ids = np.nonzero((scores.probabilities >= config.score_threshold) & wanted)
    values = scores.probabilities[regions, class_ids]
    # equal scores keep the regions' order
    order = np.argsort(-values, kind="stable")
    regions = regions[order]
    return Candidates(regions, scores.boxes[regions], values[order], class_ids[order].astype(np.int64))


def keep_best(candidates: Candidates, config: DetectionsConfig) -> np.ndarray:
    """Returns the rows of candidates that become detections, [K] int64, ascending."""
    # boxes are float64 here, because in float32 an IoU of exactly 0.3 would exceed the threshold 0.3
    boxes = candidates.boxes.astype(np.float64)
    return nms_by_class(boxes, candidates.class_ids, config.iou_threshold)[: config.max_per_image]
