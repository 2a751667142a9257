"""Boxes that no object can have: counted, named by their first file, and neither learnt nor taken for background."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from incdet.runtime.counted_words import counted
from incdet.structures import GroundTruth

TOLERANCE = 2.0
"""Distance in pixels by which a box may reach beyond its photo: annotators and programs round differently."""

MIN_VISIBLE_SHARE = 0.5
"""Smallest share of a box inside its photo with which its visible part is learnt."""


@dataclass
class ImpossibleBoxes:
    """Boxes whose corners are exchanged or no numbers, so that nobody knows where their objects are.

    Attributes:
        number: Number of boxes.
        first: Place and problem of the first one.
    """

    number: int = 0
    first: str = ""

    def add(self, place: str, problem: str) -> None:
        """Counts a box.

        Args:
            place: Its annotation and its photo.
            problem: Kind of fault.
        """
        self.number += 1
        self.first = self.first or f"{place} has {problem}"

    def tell(self, owner: str, warn: Callable[[str], None]) -> None:
        """Says how many boxes there are, if any.

        Args:
            owner: Their file or folder.
            warn: Function that takes the sentence.
        """
        if self.number:
            warn(f"{counted(self.number, 'impossible box', 'impossible boxes')} in {owner} ({self.first}): left out")


def warn_of_impossible_boxes(truths: Sequence[GroundTruth], files: Sequence[Path], warn: Callable[[str], None]) -> None:
    """Counts the boxes that readers of XML have left out.

    Args:
        truths: The annotations.
        files: Their files.
        warn: Function that takes the sentence.
    """
    impossible = ImpossibleBoxes()
    for truth, file in zip(truths, files, strict=True):
        if truth.num_impossible:
            impossible.add(file.name, "corners that are exchanged or no place in an image")
            impossible.number += truth.num_impossible - 1
    if impossible.number:
        impossible.tell(str(files[0].parent), warn)


def warn_of_odd_boxes(truths: Sequence[GroundTruth], paths: Sequence[Path], warn: Callable[[str], None]) -> None:
    """Counts boxes without area and boxes that lie outside their photos, as far as annotations state a size.

    Args:
        truths: The annotations.
        paths: The photos' files, for the sentence.
        warn: Function that takes one sentence for each kind.
    """
    counts = [len(truth) for truth in truths]
    if not sum(counts):
        return
    boxes = np.concatenate([truth.boxes for truth in truths])
    photos = np.repeat(np.arange(len(truths)), counts)
    sizes = np.array([(truth.width, truth.height) for truth in truths], np.float32)[photos]
    is_flat, is_outside, is_beyond = _kinds(boxes, sizes)
    for which, what in (
        (is_flat, "without area"),
        (is_outside, "wholly outside the photo"),
        (is_beyond & ~is_outside, "partly outside the photo; training learns the visible part"),
    ):
        rows = np.flatnonzero(which)
        if len(rows):
            row = int(rows[0])
            corners = ", ".join(f"{value:g}" for value in boxes[row])
            width, height = sizes[row].astype(int).tolist()
            place = f"the first, [{corners}], is in {paths[photos[row]].name}, {width}x{height}"
            warn(f"{counted(len(rows), 'box', 'boxes')} {what} ({place})")


def _kinds(boxes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns which boxes have no area, lie wholly outside, and reach beyond the border, [N] bool each.

    Args:
        boxes: [N, 4] float32, xyxy pixels.
        sizes: [N, 2] float32, width and height of their photos; 0 where they are not stated.
    """
    is_stated = np.asarray((sizes > 0).all(axis=1))
    is_flat = np.asarray((boxes[:, 2:] <= boxes[:, :2]).any(axis=1))
    lies_outside = np.asarray(((boxes[:, 2:] <= 0) | (boxes[:, :2] >= sizes)).any(axis=1))
    reaches_beyond = np.asarray(((boxes[:, :2] < -TOLERANCE) | (boxes[:, 2:] > sizes + TOLERANCE)).any(axis=1))
    is_judged = is_stated & ~is_flat
    return is_flat, is_judged & lies_outside, is_judged & reaches_beyond


def learnable(truth: GroundTruth) -> GroundTruth:
    """Returns an annotation as training takes it: impossible boxes are left out, others end at the photo's border.

    An object that is visible by less than half is ignored, so that it is no background either. An object without area
    is left out and counts in `num_impossible`, because nobody knows which pixels show it.

    Args:
        truth: The annotation, in pixels of the photo.
    """
    if not len(truth) or min(truth.width, truth.height) < 1:
        return truth
    sizes = np.tile(np.array([[truth.width, truth.height]], np.float32), (len(truth), 1))
    is_flat, is_outside, is_beyond = _kinds(truth.boxes, sizes)
    if not (is_flat | is_outside | is_beyond).any():
        return truth
    limits = np.array([truth.width, truth.height] * 2, np.float32)
    clipped = np.where(is_beyond[:, None], truth.boxes.clip(0, limits), truth.boxes)
    areas = (truth.boxes[:, 2:] - truth.boxes[:, :2]).astype(np.float64).prod(axis=1)
    visible = (clipped[:, 2:] - clipped[:, :2]).astype(np.float64).prod(axis=1)
    ignored = truth.ignored | (is_beyond & (visible < MIN_VISIBLE_SHARE * areas))
    kept = ~(is_flat | is_outside)
    return replace(
        truth,
        boxes=clipped[kept],
        class_ids=truth.class_ids[kept],
        ignored=ignored[kept],
        num_impossible=truth.num_impossible + int(is_flat.sum()),
    )
