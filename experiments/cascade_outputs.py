"""What the stages of a cascade say, stored once, so that any thresholds can be tried without a network."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from incdet.detector import Detector
from incdet.pipeline.cascade import Thresholds
from incdet.runtime.files import load_arrays, save_arrays
from incdet.structures import Image, Proposals, RegionScores

NONE_PASS = float("inf")
"""A threshold that no region reaches."""


@dataclass(frozen=True, eq=False)
class CascadeOutputs:
    """The probabilities of a photo's R regions after each stage, and where the regions then lie.

    Attributes:
        half_resolution: [R, C] float32, probabilities of the half-resolution stage.
        rejection: [R, C] float32, probabilities of the rejection network.
        members: [R, C] float32, probabilities of the ensemble; where no member was asked, those of the rejection
            network.
        half_resolution_boxes, rejection_boxes, members_boxes: [R, 4] float32, xyxy pixels.
    """

    half_resolution: np.ndarray
    rejection: np.ndarray
    members: np.ndarray
    half_resolution_boxes: np.ndarray
    rejection_boxes: np.ndarray
    members_boxes: np.ndarray

    def with_thresholds(self, thresholds: Thresholds) -> RegionScores:
        """What a detector with these thresholds says, where the members were asked about all regions that pass."""
        reach_rejection, reach_members = (passed[:, None] for passed in self.passed(thresholds))
        rejected_boxes = np.where(reach_rejection, self.rejection_boxes, self.half_resolution_boxes)
        rejected = np.where(reach_rejection, self.rejection, self.half_resolution)
        return RegionScores(
            np.where(reach_members, self.members_boxes, rejected_boxes), np.where(reach_members, self.members, rejected)
        )

    def passed(self, thresholds: Thresholds) -> tuple[np.ndarray, np.ndarray]:
        """The regions that reach the rejection network, and those that reach the members: [R] bool each."""
        best_half = self.half_resolution.max(axis=1, initial=0)
        reach_rejection = best_half >= thresholds.half_resolution_min_probability
        best = self.rejection.max(axis=1, initial=0)
        return reach_rejection, reach_rejection & (best >= thresholds.min_probability)


def run_every_stage(
    detector: Detector, image: Image, proposals: Proposals, min_probability: float = 0.0
) -> CascadeOutputs:
    """Runs both stages of the rejection network on every region, and the members where that finds an object.

    Args:
        detector: has a rejection network.
        image: the photo.
        proposals: its regions.
        min_probability: lowest threshold that is going to be tried.
    """
    half = detector.with_thresholds(Thresholds(NONE_PASS, NONE_PASS)).score(image, proposals)
    rejection = detector.with_thresholds(Thresholds(NONE_PASS, 0.0)).score(image, proposals)
    probabilities, boxes = rejection.probabilities.copy(), rejection.boxes.copy()
    passed = probabilities.max(axis=1, initial=0) >= min_probability
    members = detector.with_thresholds(Thresholds(0.0, 0.0)).score(image, proposals[passed])
    probabilities[passed], boxes[passed] = members.probabilities, members.boxes
    return CascadeOutputs(
        half.probabilities, rejection.probabilities, probabilities, half.boxes, rejection.boxes, boxes
    )


def stored_outputs(
    file: Path, detector: Detector, image: Image, proposals: Proposals, min_probability: float
) -> CascadeOutputs:
    """The result of `run_every_stage`, computed now or at an earlier time.

    Args:
        file: stores the result; its name tells all that decides it.
        detector: has a rejection network.
        image: the photo.
        proposals: its regions.
        min_probability: lowest threshold that is going to be tried.

    Raises:
        OutputError: the file cannot be written.
    """
    names = [field.name for field in fields(CascadeOutputs)]
    arrays = load_arrays(file, *names)
    if arrays is not None:
        return CascadeOutputs(**arrays)
    outputs = run_every_stage(detector, image, proposals, min_probability)
    save_arrays(file, **{name: getattr(outputs, name) for name in names})
    return outputs
