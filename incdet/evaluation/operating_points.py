"""Precision and recall of the detections from a score on: what somebody sees who is shown those and no others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.rules import IGNORED, TRUE
from incdet.ops.decimals import plain_number
from incdet.runtime.counted_words import counted

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8)
"""Score thresholds of the table in reports."""


@dataclass(frozen=True)
class OperatingPoint:
    """The detections of all classes from one score on.

    Attributes:
        score_threshold: Lowest score that is counted.
        num_detections: Number of detections that count one way or the other.
        num_right: Number of those that found an object.
        num_objects: Number of required objects.
    """

    score_threshold: float
    num_detections: int
    num_right: int
    num_objects: int

    @property
    def precision(self) -> float:
        """Share of the detections that found an object; NaN where there are none."""
        return self.num_right / self.num_detections if self.num_detections else float("nan")

    @property
    def recall(self) -> float:
        """Share of the objects that were found; NaN where there are none."""
        return self.num_right / self.num_objects if self.num_objects else float("nan")

    def describe(self) -> str:
        """Returns the numbers as a sentence."""
        right = f", {100 * self.precision:.0f} % of them right" if self.num_detections else ""
        found = f"{100 * self.recall:.0f} % of the objects are found" if self.num_objects else "no objects to be found"
        return (
            f"from a score of {self.score_threshold:g} on: {counted(self.num_detections, 'detection')}{right}; {found}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain numbers; NaN becomes null."""
        return {
            "score_threshold": self.score_threshold,
            "num_detections": self.num_detections,
            "num_right": self.num_right,
            "precision": plain_number(self.precision),
            "recall": plain_number(self.recall),
        }


def operating_point(evaluation: Evaluation, score_threshold: float) -> OperatingPoint:
    """Returns the number and the quality of the detections from a score on.

    A detection with a better score chooses its object first, so that leaving out lower scores changes no verdict.

    Args:
        evaluation: The evaluation.
        score_threshold: Lowest score that is counted.
    """
    verdicts = evaluation.verdicts[evaluation.detections.scores >= score_threshold]
    return OperatingPoint(
        score_threshold=score_threshold,
        num_detections=int((verdicts != IGNORED).sum()),
        num_right=int((verdicts == TRUE).sum()),
        num_objects=int(evaluation.num_objects.sum()),
    )


def operating_points(evaluation: Evaluation, thresholds: Sequence[float] = THRESHOLDS) -> list[OperatingPoint]:
    """Returns an operating point for each of the score thresholds."""
    return [operating_point(evaluation, threshold) for threshold in thresholds]
