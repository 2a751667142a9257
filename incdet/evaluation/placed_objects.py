"""Right place, which class: how well objects are named that some detection, of any class, has found by its box."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.columns import half_open_boxes
from incdet.evaluation.rules import object_thresholds
from incdet.ops.boxes import box_iou
from incdet.ops.decimals import plain_number

TOP = 5
"""Number of classes among which the right one counts for `top5`, as in ILSVRC's classification."""


@dataclass(frozen=True)
class PlacedObjects:
    """The naming of objects whose place is known.

    Attributes:
        num_objects: Number of required objects.
        num_placed: Number of those that a detection of any class overlaps enough.
        num_top1: Number of placed objects whose class is that of the best such detection.
        num_top5: Number of placed objects whose class is among the five best classes of such detections.
    """

    num_objects: int
    num_placed: int
    num_top1: int
    num_top5: int

    @property
    def top1(self) -> float:
        """Share of the placed objects that are named right; NaN where none is placed."""
        return self.num_top1 / self.num_placed if self.num_placed else float("nan")

    @property
    def top5(self) -> float:
        """Share of the placed objects whose class is among the five best ones; NaN where none is placed."""
        return self.num_top5 / self.num_placed if self.num_placed else float("nan")

    def describe(self) -> str:
        """Returns the numbers as a sentence."""
        placed = f"{self.num_placed:,} of {self.num_objects:,} objects have a detection of any class in their place"
        if self.num_placed == 0:
            return placed
        return (
            f"{placed}; the best one names {100 * self.top1:.0f} % of them right, the five best classes "
            f"{100 * self.top5:.0f} %"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain numbers; NaN becomes null."""
        return {
            "num_placed": self.num_placed,
            "top1": plain_number(self.top1),
            "top5": plain_number(self.top5),
        }


def placed_objects(evaluation: Evaluation) -> PlacedObjects:
    """Returns how well the objects are named that some detection overlaps as much as the rules ask for.

    A detection may serve several objects here: two objects in the same place, such as a rider and the horse, are each
    compared with all detections there.

    Args:
        evaluation: The evaluation.
    """
    objects, detections = evaluation.objects[evaluation.is_required], evaluation.detections
    thresholds = object_thresholds(objects.boxes_inclusive, evaluation.rules, evaluation.iou_threshold)
    ranked = detections[np.argsort(-detections.scores, kind="stable")]
    ranked = ranked[np.argsort(ranked.images, kind="stable")]
    num_placed = num_top1 = num_top5 = 0
    for image in np.unique(objects.images):
        own = np.flatnonzero(objects.images == image)
        # the detections of an image stand together, best score first
        start, stop = np.searchsorted(ranked.images, [image, image + 1])
        boxes = half_open_boxes(ranked.boxes_inclusive[start:stop])
        overlaps = box_iou(half_open_boxes(objects.boxes_inclusive[own]), boxes)  # [objects, detections]
        for row, index in enumerate(own):
            there = ranked.class_ids[start:stop][overlaps[row] >= thresholds[index]]
            # each class once, in the order of its best detection
            classes = list(dict.fromkeys(there.tolist()))
            num_placed += len(classes) > 0
            num_top1 += int(objects.class_ids[index]) in classes[:1]
            num_top5 += int(objects.class_ids[index]) in classes[:TOP]
    return PlacedObjects(len(objects), num_placed, num_top1, num_top5)
