"""Error types of TIDE (Bolya et al. 2020), each with the mAP that is gained when all of its errors are mended.

The type of a false detection is the first one in this list whose rule holds:

- localisation: It overlaps an object of its class by 0.1 or more, but less than that object's threshold. Of several
  objects the one that it overlaps most decides.
- classification: It overlaps an object of another class by at least that object's threshold.
- duplicate: It overlaps an object of its class enough, but a better-scored detection has taken the object.
- background: It overlaps no required object by 0.1.
- both: All others, a wrong class in a wrong place.

A missed object is one that no detection found and that no localisation or classification error could have found.

Mending moves a localisation or classification error onto its object, if the object is free. Of several errors with the
same object the best-scored one is moved and the others are removed. Mending removes the other false detections, and no
longer requires missed objects. Average precision follows the evaluation's own rules, whereas TIDE's program takes
COCO's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.columns import SIZES, inclusive_areas
from incdet.evaluation.matching import find_pairs
from incdet.evaluation.precision_recall import average_precision_of
from incdet.evaluation.rules import FALSE, IGNORED, TRUE, object_thresholds
from incdet.ops.decimals import plain_number

BACKGROUND_OVERLAP = 0.1
"""IoU below which a detection has nothing to do with an object (TIDE's t_b)."""

NONE, LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH = range(6)
ERROR_NAMES = ("", "localisation", "classification", "duplicate", "background", "both")


TIDE_NOTE = (
    "mAP gained: how much higher mAP would be if all errors of this kind were mended and the others left as they are "
    "(TIDE, Bolya et al. 2020)."
)
"""What the costs of errors mean, for people."""


@dataclass(frozen=True, eq=False)
class SizeResult:
    """The results on objects of one size. False detections count by their own size.

    Attributes:
        name: "small", "medium" or "large".
        num_objects: Number of required objects of this size.
        mean_average_precision: Mean over the classes that have such objects; NaN where none has.
        recall: Mean recall over the same classes.
    """

    name: str
    num_objects: int
    mean_average_precision: float
    recall: float


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """The errors of an evaluation and their cost.

    Attributes:
        kinds: [D] int8, error type of every false detection, NONE for all others.
        targets: [D] int64, row of the object that a localisation or classification error meant, -1 for the others.
        missed: [M] int64, rows of the missed objects.
        counts: Number of detections by the name of their error, and number of objects under "missed".
        costs: mAP gained by mending all errors of one name, in mAP points (0..100).
        sizes: Results by object size.
    """

    kinds: np.ndarray
    targets: np.ndarray
    missed: np.ndarray
    counts: dict[str, int]
    costs: dict[str, float]
    sizes: tuple[SizeResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns plain numbers; NaN becomes null."""
        errors = {}
        for name, points in self.costs.items():
            errors[name] = {"count": self.counts[name], "mAP_points": plain_number(points)}
        sizes = {}
        for size in self.sizes:
            sizes[size.name] = {
                "num_ground_truth": size.num_objects,
                "mAP": plain_number(size.mean_average_precision),
                "recall": plain_number(size.recall),
            }
        return {"errors": errors, "sizes": sizes}


def analyse_errors(evaluation: Evaluation) -> ErrorAnalysis:
    """Sorts the false detections of an evaluation into types and measures the cost of each type."""
    kinds, targets = _kinds(evaluation)
    found = np.zeros(len(evaluation.objects), bool)
    found[evaluation.matches[evaluation.matches >= 0]] = True
    is_target = np.zeros(len(evaluation.objects), bool)
    is_target[targets[targets >= 0]] = True
    required = evaluation.is_required
    missed = np.flatnonzero(required & ~found & ~is_target)

    counts, costs = {}, {}
    ranking = _Ranking(evaluation)
    for kind in range(LOCALISATION, len(ERROR_NAMES)):
        name = ERROR_NAMES[kind]
        counts[name] = int((kinds == kind).sum())
        verdicts, class_ids = _mend(evaluation, kinds, targets, kind, found)
        costs[name] = ranking.points_over(evaluation, verdicts, class_ids, evaluation.num_objects)
    # missed objects are mended by not requiring them; the detections stay as they are
    counts["missed"] = len(missed)
    num_missed = np.bincount(evaluation.objects.class_ids[missed], minlength=len(evaluation.class_names))
    still_required = evaluation.num_objects - num_missed
    costs["missed"] = ranking.points_over(
        evaluation, evaluation.verdicts, evaluation.detections.class_ids, still_required
    )
    sizes = tuple(_by_size(evaluation, ranking, name, low, high) for name, low, high in SIZES)
    return ErrorAnalysis(kinds, targets, missed, counts, costs, sizes)


class _Ranking:
    """mAP under changed verdicts and classes. The order of all detections by score is found once.

    Args:
        evaluation: The evaluation whose detections and rules are taken.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self.rules = evaluation.rules
        # equal scores are ordered by image, then by the order of the file: both sorts are stable
        by_image = np.argsort(evaluation.detections.images, kind="stable")
        self.order = by_image[np.argsort(-evaluation.detections.scores[by_image], kind="stable")]

    def mean_average_precision(
        self, verdicts: np.ndarray, class_ids: np.ndarray, num_required: np.ndarray
    ) -> tuple[float, float]:
        """Returns mAP and mean recall over the classes that have required objects; NaN where none has.

        Args:
            verdicts: [D] int8.
            class_ids: [D] int64.
            num_required: [C] int64, number of required objects per class.
        """
        # a stable sort by class keeps the ranking within each class
        by_class = self.order[np.argsort(class_ids[self.order], kind="stable")]
        rows_of_classes = np.split(by_class, np.searchsorted(class_ids[by_class], np.arange(1, len(num_required))))
        precisions, recalls = [], []
        for rows, count in zip(rows_of_classes, num_required.tolist(), strict=True):
            if count:
                average_precision, recall = average_precision_of(verdicts[rows], count, self.rules)
                precisions.append(average_precision)
                recalls.append(recall)
        if not precisions:
            return float("nan"), float("nan")
        return float(np.mean(precisions)), float(np.mean(recalls))

    def points_over(
        self, evaluation: Evaluation, verdicts: np.ndarray, class_ids: np.ndarray, num_required: np.ndarray
    ) -> float:
        """Returns the mAP points gained over the evaluation."""
        mended, _ = self.mean_average_precision(verdicts, class_ids, num_required)
        # where nothing is required any more, nothing is wrong any more
        if np.isnan(mended) and evaluation.num_objects.any():
            mended = 1.0
        return 100 * (mended - evaluation.mean_average_precision)


def _kinds(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Returns kinds [D] int8 and targets [D] int64 of `ErrorAnalysis`."""
    objects, detections = evaluation.objects, evaluation.detections
    false = np.flatnonzero(evaluation.verdicts == FALSE)
    required = np.flatnonzero(evaluation.is_required)
    boxes = objects.boxes_inclusive[required]
    thresholds = object_thresholds(boxes, evaluation.rules, evaluation.iou_threshold)
    # tiny objects may have a threshold below 0.1 under ILSVRC's rules
    pairs = find_pairs(
        detections.images[false],
        detections.boxes_inclusive[false],
        objects.images[required],
        boxes,
        np.minimum(thresholds, BACKGROUND_OVERLAP),
    )
    same_class = detections.class_ids[false[pairs.detections]] == objects.class_ids[required[pairs.objects]]
    enough = pairs.overlaps >= thresholds[pairs.objects]
    own = pairs[same_class].best()
    misplaced = own[own.overlaps < thresholds[own.objects]]
    well_placed = own[own.overlaps >= thresholds[own.objects]]
    other = pairs[~same_class & enough].best()

    kinds = np.full(len(false), BACKGROUND, np.int8)
    targets = np.full(len(false), -1, np.int64)
    kinds[pairs.detections] = BOTH
    # the rules are written from the last to the first, so that an earlier one wins
    kinds[well_placed.detections] = DUPLICATE
    for kind, part in ((CLASSIFICATION, other), (LOCALISATION, misplaced)):
        kinds[part.detections] = kind
        targets[part.detections] = required[part.objects]

    # from the false detections back to all of them
    all_kinds = np.full(len(detections), NONE, np.int8)
    all_targets = np.full(len(detections), -1, np.int64)
    all_kinds[false], all_targets[false] = kinds, targets
    return all_kinds, all_targets


def _mend(
    evaluation: Evaluation, kinds: np.ndarray, targets: np.ndarray, kind: int, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns verdicts [D] and class ids [D] after all errors of one kind are mended.

    Args:
        evaluation: The evaluation.
        kinds: [D] int8, error types.
        targets: [D] int64, object that each error meant.
        kind: The error type to mend.
        found: [K] bool, whether a detection has found the object.
    """
    verdicts, class_ids = evaluation.verdicts.copy(), evaluation.detections.class_ids.copy()
    wrong = np.flatnonzero(kinds == kind)
    verdicts[wrong] = IGNORED
    with_target = wrong[targets[wrong] >= 0]
    movable = with_target[~found[targets[with_target]]]
    # the best-scored error of each object takes it; of equal scores, the first in the file
    ranked = movable[np.lexsort((movable, -evaluation.detections.scores[movable]))]
    _, first_rows = np.unique(targets[ranked], return_index=True)
    moved = ranked[first_rows]
    verdicts[moved] = TRUE
    class_ids[moved] = evaluation.objects.class_ids[targets[moved]]
    return verdicts, class_ids


def _by_size(evaluation: Evaluation, ranking: _Ranking, name: str, low: float, high: float) -> SizeResult:
    """Returns the results on objects whose area in square pixels is at least `low` and below `high`."""
    object_areas = inclusive_areas(evaluation.objects.boxes_inclusive)
    areas = inclusive_areas(evaluation.detections.boxes_inclusive)
    # a detection that found an object has the object's size, any other one its own
    is_match = evaluation.matches >= 0
    areas[is_match] = object_areas[evaluation.matches[is_match]]
    verdicts = np.where((areas >= low) & (areas < high), evaluation.verdicts, IGNORED)
    wanted = (object_areas >= low) & (object_areas < high) & evaluation.is_required
    num_required = np.bincount(evaluation.objects.class_ids[wanted], minlength=len(evaluation.class_names))
    mean_average_precision, recall = ranking.mean_average_precision(
        verdicts, evaluation.detections.class_ids, num_required
    )
    return SizeResult(name, int(num_required.sum()), mean_average_precision, recall)
