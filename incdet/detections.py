"""Boxes + probabilities -> Detections: threshold, per-class NMS, limits."""

import numpy as np

from incdet.config.sections import DetectionsConfig
from incdet.ops.boxes import box_iou, clip_boxes
from incdet.ops.nms import suppress
from incdet.structures import Detections, Image, RegionScores


def select_detections(
    scores: RegionScores, image: Image, class_names: tuple[str, ...], config: DetectionsConfig
) -> Detections:
    """The best non-overlapping boxes of every class, best score first; equal scores keep the regions' order.

    A region may be detected as several classes. Per-class NMS at IoU 0.3 and at most 100 boxes, as R-CNN's ILSVRC
    submission (FACTS, section 3), but 100 per image, and each box is the mean of those around it.
    """
    wanted = np.array([config.classes is None or name in config.classes for name in class_names], bool)
    regions, class_ids = np.nonzero((scores.probabilities >= config.score_threshold) & wanted)
    boxes, values = scores.boxes[regions], scores.probabilities[regions, class_ids]
    order = np.argsort(-values, kind="stable")
    boxes, values, class_ids = boxes[order], values[order], class_ids[order].astype(np.int64)
    kept = _suppress_by_class(boxes, class_ids, config.iou_threshold)[: config.max_per_image]
    found = boxes[kept]
    if config.voting_iou is not None:
        found = clip_boxes(_vote(boxes, values, class_ids, kept, config.voting_iou), image.width, image.height)
    return Detections(
        image=image.name,
        width=image.width,
        height=image.height,
        boxes=found,
        scores=np.minimum(values[kept], 1),
        class_ids=class_ids[kept],
        class_names=class_names,
    )


def _suppress_by_class(boxes: np.ndarray, class_ids: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Rows of the boxes, best first, that survive NMS among those of their class, ascending."""
    survivors = [np.zeros(0, np.int64)]
    for class_id in np.unique(class_ids):
        rows = np.flatnonzero(class_ids == class_id)
        # float64: in float32 an IoU of exactly 0.3 would exceed the threshold 0.3
        survivors.append(rows[suppress(boxes[rows].astype(np.float64), iou_threshold)])
    return np.sort(np.concatenate(survivors))


def _vote(
    boxes: np.ndarray, values: np.ndarray, class_ids: np.ndarray, kept: np.ndarray, voting_iou: float
) -> np.ndarray:
    """The kept boxes [K, 4], each moved to the mean of its class's boxes around it, weighted by their probabilities.

    Source: bounding box voting in Gidaris and Komodakis 2015, "Object detection via a multi-region and semantic
    segmentation-aware CNN model".
    """
    moved = boxes[kept]
    for class_id in np.unique(class_ids[kept]):
        mine, rows = class_ids[kept] == class_id, class_ids == class_id
        weights = np.where(box_iou(moved[mine], boxes[rows]) >= voting_iou, values[rows].astype(np.float64), 0.0)
        total = weights.sum(axis=1, keepdims=True)
        # a box without surface overlaps nothing, not even itself
        moved[mine] = np.where(total > 0, weights @ boxes[rows] / np.where(total > 0, total, 1), moved[mine])
    return moved
