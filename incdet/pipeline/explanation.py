"""Where detections come from: the proposal behind each, what every network says about it, what NMS left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from incdet.config.sections import DetectionsConfig
from incdet.ops.boxes import box_iou
from incdet.pipeline.detection_selection import Candidates, list_candidates, select_candidates
from incdet.structures import Proposals, RegionScores


@dataclass(frozen=True, eq=False)
class NetworkOpinion:
    """The most probable classes of one region, by one network.

    Attributes:
        name: Name of the network, such as "member 1".
        has_seen: Whether the network classified the region; where it did not, the values are those of the networks
            before it. A namer sees the photo as a whole all the same, and its values tell that; see `RenamingScorer`.
        best: Labels and probabilities in [0, 1], the most probable class first.
        background: Probability that the region shows none of the classes, in [0, 1].
    """

    name: str
    has_seen: bool
    best: tuple[tuple[str, float], ...]
    background: float


@dataclass(frozen=True, eq=False)
class DetectionExplanation:
    """What made one detection.

    Attributes:
        region: Row of the detection's region among the proposals.
        source: Name of the proposer of the region.
        rank: Place of the region among the proposals of its source; the best has 1.
        proposal_box: [4] float32, xyxy pixels, the box as it was proposed.
        region_box: [4] float32, xyxy pixels, the same after box deltas moved it and before boxes around it voted.
        networks: One entry for each network, in the order of `RegionScorer.network_names`.
        part_factor: Factor of the region's probability in the detection's score, in [0, 1]: less than 1 where it looks
            like a part of a larger object of its class; see `part_shares`.
        prominence_factor: Second factor of the score, in [0, 1]: less than 1 where the detection is small beside
            others; see `prominences`.
        num_suppressed: Number of candidates of the same class that non-maximum suppression left out because of this
            detection.
        suppressed_regions: [S] int64, rows of the best of them among the proposals.
        suppressed_boxes: [S, 4] float32, xyxy pixels, their boxes.
        suppressed_scores: [S] float32 in [0, 1], their probabilities, descending.
        suppressed_ious: [S] float64 in [0, 1], their Jaccard index with the region's box.
    """

    region: int
    source: str
    rank: int
    proposal_box: np.ndarray
    region_box: np.ndarray
    networks: tuple[NetworkOpinion, ...]
    part_factor: float
    prominence_factor: float
    num_suppressed: int
    suppressed_regions: np.ndarray
    suppressed_boxes: np.ndarray
    suppressed_scores: np.ndarray
    suppressed_ious: np.ndarray


def explain_detections(
    proposals: Proposals,
    scores: RegionScores,
    class_names: tuple[str, ...],
    network_names: Sequence[str],
    config: DetectionsConfig,
    num_best: int = 5,
    max_suppressed: int = 20,
) -> list[DetectionExplanation]:
    """Explains the detections that `select_detections` makes of the same scores, in their order.

    Args:
        proposals: The R proposals of a photo.
        scores: Their class probabilities, with those of each network.
        class_names: The C classes.
        network_names: Names of the M networks of `scores.by_network`.
        config: Thresholds and limits of the detections.
        num_best: Number of classes that are told for each network.
        max_suppressed: Number of suppressed candidates that are told for each detection; all of them are counted.
    """
    candidates = list_candidates(scores, config)
    selected = select_candidates(candidates, class_names, config)
    suppressors = _find_suppressors(candidates, selected.survivors, config.iou_threshold)
    explanations = []
    factors = zip(selected.part_factors, selected.prominence_factors, strict=True)
    for row, (part_factor, prominence_factor) in zip(selected.rows, factors, strict=True):
        region = int(candidates.regions[row])
        source = str(proposals.sources[region])
        # candidates are sorted by score, so the first of these are the best
        suppressed = np.flatnonzero(suppressors == row)
        told = suppressed[:max_suppressed]
        explanations.append(
            DetectionExplanation(
                region=region,
                source=source,
                rank=int((proposals.sources[: region + 1] == source).sum()),
                proposal_box=proposals.boxes[region],
                region_box=candidates.boxes[row],
                networks=_list_opinions(scores, region, class_names, network_names, num_best),
                part_factor=float(part_factor),
                prominence_factor=float(prominence_factor),
                num_suppressed=len(suppressed),
                suppressed_regions=candidates.regions[told],
                suppressed_boxes=candidates.boxes[told],
                suppressed_scores=candidates.values[told],
                suppressed_ious=box_iou(candidates.boxes[told], candidates.boxes[row : row + 1])[:, 0],
            )
        )
    return explanations


def _find_suppressors(candidates: Candidates, survivors: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Returns the survivor [S] that suppressed each candidate: rows of candidates, [N] int64, -1 where none did."""
    suppressors = np.full(len(candidates.regions), -1)
    is_open = np.ones(len(candidates.regions), bool)
    is_open[survivors] = False
    # a candidate is suppressed by the best box that overlaps it too much, so the best boxes take theirs first
    for row in survivors:
        rivals = np.flatnonzero(is_open & (candidates.class_ids == candidates.class_ids[row]))
        # only a better box suppresses, and candidates are sorted by score
        rivals = rivals[rivals > row]
        overlaps = box_iou(candidates.boxes[rivals], candidates.boxes[row : row + 1])[:, 0]
        taken = rivals[overlaps > iou_threshold]
        suppressors[taken] = row
        is_open[taken] = False
    return suppressors


def _list_opinions(
    scores: RegionScores, region: int, class_names: tuple[str, ...], network_names: Sequence[str], num_best: int
) -> tuple[NetworkOpinion, ...]:
    """Returns what each network says about one region."""
    names: Sequence[str] = network_names
    if scores.by_network is None:
        rows, names = scores.probabilities[None, region], ("all networks",)
    else:
        rows = scores.by_network[:, region]
    opinions = []
    for number, (name, probabilities) in enumerate(zip(names, rows, strict=True)):
        order = np.argsort(-probabilities, kind="stable")[:num_best]
        best = tuple((class_names[class_id], float(probabilities[class_id])) for class_id in order)
        background = max(1 - float(probabilities.sum(dtype=np.float64)), 0.0)
        # the row of a member that did not see the region is a copy of the first row, that of a namer of the result
        copied = scores.probabilities[region] if name == "namer" else rows[0]
        has_seen = number == 0 or not np.array_equal(probabilities, copied)
        opinions.append(NetworkOpinion(name, has_seen, best, background))
    return tuple(opinions)
