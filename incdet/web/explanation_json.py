"""Explanations of detections as plain values for JSON."""

from typing import Any

from incdet.ops.decimals import shortest_decimals
from incdet.pipeline.explanation import DetectionExplanation, NetworkOpinion

DIGITS = 6
"""Number of digits of probabilities that people read."""


def explanation_json(explanation: DetectionExplanation) -> dict[str, Any]:
    """Returns the explanation of one detection."""
    boxes = shortest_decimals(explanation.suppressed_boxes)
    rows = zip(
        explanation.suppressed_regions.tolist(),
        boxes,
        explanation.suppressed_scores.tolist(),
        explanation.suppressed_ious.tolist(),
        strict=True,
    )
    suppressed = [
        {"proposal": region, "box": box, "score": round(score, DIGITS), "iou": round(iou, DIGITS)}
        for region, box, score, iou in rows
    ]
    return {
        "proposal": explanation.region,
        "source": explanation.source,
        "rank": explanation.rank,
        "proposal_box": shortest_decimals(explanation.proposal_box),
        "region_box": shortest_decimals(explanation.region_box),
        "networks": [_opinion_json(opinion) for opinion in explanation.networks],
        "part_factor": round(explanation.part_factor, DIGITS),
        "prominence_factor": round(explanation.prominence_factor, DIGITS),
        "num_suppressed": explanation.num_suppressed,
        "suppressed": suppressed,
    }


def _opinion_json(opinion: NetworkOpinion) -> dict[str, Any]:
    best = [{"label": label, "probability": round(probability, DIGITS)} for label, probability in opinion.best]
    return {
        "name": opinion.name,
        "has_seen": opinion.has_seen,
        "best": best,
        "background": round(opinion.background, DIGITS),
    }
