"""What the gates of a cascade cost: every look's answer is kept once, then any gates are tried without a network."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from incdet.detector import Detector
from incdet.networks.ensemble import Gates
from incdet.runtime.files import load_arrays, save_arrays
from incdet.structures import Image, Proposals, RegionScores

CLOSED = float("inf")
"""A gate that lets no region pass."""


@dataclass(frozen=True, eq=False)
class LookAnswers:
    """What each look of a cascade says about a photo's regions, and where they lie after it.

    Attributes:
        coarse, first, members: [R, C] float32, probabilities; those of members are the first stage's where none looked.
        coarse_boxes, first_boxes, members_boxes: [R, 4] float32, xyxy pixels.
    """

    coarse: np.ndarray
    first: np.ndarray
    members: np.ndarray
    coarse_boxes: np.ndarray
    first_boxes: np.ndarray
    members_boxes: np.ndarray

    def behind(self, gates: Gates) -> RegionScores:
        """What a detector with these gates says, where the members have looked at all that these let pass."""
        near, close = (passed[:, None] for passed in self.passed(gates))
        return RegionScores(
            np.where(close, self.members_boxes, np.where(near, self.first_boxes, self.coarse_boxes)),
            np.where(close, self.members, np.where(near, self.first, self.coarse)),
        )

    def passed(self, gates: Gates) -> tuple[np.ndarray, np.ndarray]:
        """Which regions the first stage sees at full size, and which the members see: [R] bool each."""
        near = self.coarse.max(axis=1, initial=0) >= gates.coarse
        return near, near & (self.first.max(axis=1, initial=0) >= gates.first)


def ask_every_look(detector: Detector, image: Image, proposals: Proposals, gate: float = 0.0) -> LookAnswers:
    """The coarse look and the first stage at every region, the members where that finds a class with at least `gate`.

    Args:
        detector: with a first stage.
        image: the photo.
        proposals: its regions.
        gate: the lowest that is going to be tried.
    """
    coarse = detector.behind(Gates(CLOSED, CLOSED)).score(image, proposals)
    first = detector.behind(Gates(CLOSED, 0.0)).score(image, proposals)
    probabilities, boxes = first.probabilities.copy(), first.boxes.copy()
    passed = probabilities.max(axis=1, initial=0) >= gate
    members = detector.behind(Gates(0.0, 0.0)).score(image, proposals[passed])
    probabilities[passed], boxes[passed] = members.probabilities, members.boxes
    return LookAnswers(coarse.probabilities, first.probabilities, probabilities, coarse.boxes, first.boxes, boxes)


def kept_answers(file: Path, detector: Detector, image: Image, proposals: Proposals, gate: float) -> LookAnswers:
    """`ask_every_look`, or what it said before: the file's name must tell all that decides it.

    Raises:
        OutputError: the file cannot be written.
    """
    names = [field.name for field in fields(LookAnswers)]
    arrays = load_arrays(file, *names)
    if arrays is not None:
        return LookAnswers(**arrays)
    answers = ask_every_look(detector, image, proposals, gate)
    save_arrays(file, **{name: getattr(answers, name) for name in names})
    return answers
