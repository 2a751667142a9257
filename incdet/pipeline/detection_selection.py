"""The last stage: region scores become detections by threshold, per-class NMS, voting and rescoring."""

from typing import NamedTuple

import numpy as np

from incdet.config.sections import DetectionsConfig
from incdet.detections import Detections
from incdet.ops.boxes import clip_boxes
from incdet.ops.nms import nms_by_class, vote_on_boxes
from incdet.ops.rescoring import part_shares, prominences
from incdet.structures import Image, RegionScores

MAX_RIVALS = 1000
"""Number of the best boxes left by non-maximum suppression that are rescored, and as many of the classes looked for, if
no more detections are wanted. Photos have some hundred from the default threshold on; a threshold of 0 leaves many
thousand."""


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


class SelectedCandidates(NamedTuple):
    """What is kept of candidates.

    Attributes:
        survivors: [S] int64, rows of the candidates that non-maximum suppression leaves, ascending.
        rows: [K] int64, those of them that become detections, best score first.
        boxes: [K, 4] float32, xyxy pixels, boxes of the detections.
        scores: [K] float32 in [0, 1], scores of the detections.
        part_factors: [K] float64 in [0, 1], less than 1 where a detection looks like a part of a larger one. A score
            is the product of the candidate's probability and both factors.
        prominence_factors: [K] float64 in [0, 1], less than 1 where a detection is small beside others.
    """

    survivors: np.ndarray
    rows: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    part_factors: np.ndarray
    prominence_factors: np.ndarray


def select_detections(
    scores: RegionScores, image: Image, class_names: tuple[str, ...], config: DetectionsConfig
) -> Detections:
    """Returns the best boxes of every class that do not overlap each other, best score first.

    The defaults follow R-CNN's ILSVRC submission, with per-class NMS at IoU 0.3. They differ in three points. R-CNN
    keeps at most 100 boxes per image and class, incdet 100 per image. R-CNN takes the boxes as they are, incdet
    averages each with the boxes around it (`voting_iou`). R-CNN takes the scores as they are, incdet lowers those of
    boxes that lie inside a larger one of their class (`part_penalty`) or are small beside others
    (`prominence_exponent`).

    Args:
        scores: Class probabilities of the image's regions.
        image: The image.
        class_names: The C classes.
        config: Thresholds and limits.
    """
    candidates = list_candidates(scores, config)
    selected = select_candidates(candidates, class_names, config)
    found = selected.boxes
    if config.voting_iou is not None:
        # the mean of boxes at the photo's edge may lie outside by a rounding
        found = clip_boxes(found, image.width, image.height)
    return Detections(
        image=image.name,
        width=image.width,
        height=image.height,
        boxes=found,
        scores=selected.scores,
        class_ids=candidates.class_ids[selected.rows],
        class_names=class_names,
    )


def list_candidates(scores: RegionScores, config: DetectionsConfig) -> Candidates:
    """Returns every pair of a region and a class above the score threshold; arguments as for `select_detections`."""
    # a region may be detected as several classes: one candidate for each probability [R, C] above the threshold
    regions, class_ids = np.nonzero(scores.probabilities >= config.score_threshold)
    values = scores.probabilities[regions, class_ids]
    # equal scores keep the regions' order
    order = np.argsort(-values, kind="stable")
    regions = regions[order]
    return Candidates(regions, scores.boxes[regions], values[order], class_ids[order].astype(np.int64))


def select_candidates(
    candidates: Candidates, class_names: tuple[str, ...], config: DetectionsConfig
) -> SelectedCandidates:
    """Returns the candidates that become detections; arguments as for `select_detections`."""
    # boxes are float64 here, because in float32 an IoU of exactly 0.3 would exceed the threshold 0.3
    survivors = nms_by_class(candidates.boxes.astype(np.float64), candidates.class_ids, config.iou_threshold)
    wanted = np.array([config.classes is None or name in config.classes for name in class_names], bool)
    is_wanted = wanted[candidates.class_ids[survivors]]
    # objects of classes that are not looked for count in the scores of the others
    limit = max(MAX_RIVALS, config.max_per_image)
    rows = survivors[(np.arange(len(survivors)) < limit) | (is_wanted & (np.cumsum(is_wanted) <= limit))]
    boxes, class_ids = candidates.boxes[rows], candidates.class_ids[rows]
    if config.voting_iou is not None:
        boxes = vote_on_boxes(candidates.boxes, candidates.values, candidates.class_ids, rows, config.voting_iou)
    # averages of float32 probabilities may exceed 1 by a rounding
    scores = np.minimum(candidates.values[rows], 1)
    part_factors = 1 - config.part_penalty * part_shares(boxes, scores, class_ids)
    scores = (scores * part_factors).astype(np.float32)
    prominence_factors = prominences(boxes, scores) ** config.prominence_exponent
    scores = (scores * prominence_factors).astype(np.float32)
    best = np.argsort(-scores, kind="stable")
    best = best[wanted[class_ids[best]] & (scores[best] >= config.score_threshold)][: config.max_per_image]
    return SelectedCandidates(
        survivors, rows[best], boxes[best], scores[best], part_factors[best], prominence_factors[best]
    )
