"""What costs mAP: the error types of TIDE (Bolya et al. 2020), each with the mAP that mending it alone would give.

A false detection is, by the first rule that holds:

- localisation: it overlaps an object of its class by 0.1 or more, but less than that object asks for (of several, the
  one that it overlaps most decides),
- classification: it overlaps an object of another class as much as that one asks for,
- duplicate: it overlaps an object of its class enough, but a better-scored detection has taken it,
- background: it overlaps no object that must be found by 0.1,
- both: what is left, a wrong class in a wrong place.

A missed object is one that no detection found and no localisation or classification error could have found. Mending
moves a localisation or classification error onto its object, if that is free (the best-scored one of several; the
others go), removes the other false detections, and no longer requires missed objects. Average precision is that of the
evaluation's own rules, where TIDE's program takes COCO's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from incdet.evaluation.average_precision import (
    FALSE,
    IGNORED,
    TRUE,
    Evaluation,
    average_precision_of,
    object_thresholds,
    plain_number,
)
from incdet.evaluation.columns import inclusive_areas
from incdet.evaluation.matching import find_pairs

BACKGROUND_OVERLAP = 0.1
"""Below this overlap a detection has nothing to do with an object (TIDE's t_b)."""

NONE, LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH = range(6)
ERROR_NAMES = ("", "localisation", "classification", "duplicate", "background", "both")

SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, np.inf))
"""COCO's bins: name, area from, area below, in square pixels."""


@dataclass(frozen=True, eq=False)
class SizeResult:
    """How well objects of a size are found: their number, mAP and mean recall over the classes that have such objects.

    False detections count by their own size.
    """

    name: str
    num_objects: int
    mean_average_precision: float
    recall: float


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """What was wrong, and what it cost.

    Attributes:
        kinds: [D] int8, the error type of every false detection, NONE for all others.
        targets: [D] int64, the object that a localisation or classification error meant, else -1.
        missed: [M] int64, rows of the missed objects.
        counts: error name -> number of detections, "missed" -> number of objects.
        costs: error name -> mAP gained when all of its kind are mended, in mAP points (0..100).
        sizes: by object size.
    """

    kinds: np.ndarray
    targets: np.ndarray
    missed: np.ndarray
    counts: dict[str, int]
    costs: dict[str, float]
    sizes: tuple[SizeResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        errors = {
            name: {"count": self.counts[name], "mAP_points": plain_number(self.costs[name])} for name in self.costs
        }
        sizes = {
            size.name: {
                "num_ground_truth": size.num_objects,
                "mAP": plain_number(size.mean_average_precision),
                "recall": plain_number(size.recall),
            }
            for size in self.sizes
        }
        return {"errors": errors, "sizes": sizes}


def analyse_errors(evaluation: Evaluation) -> ErrorAnalysis:
    """Sorts the false detections of an evaluation into types and measures what each costs."""
    kinds, targets = _kinds(evaluation)
    found = np.zeros(len(evaluation.objects), bool)
    found[evaluation.matches[evaluation.matches >= 0]] = True
    within_reach = np.zeros(len(evaluation.objects), bool)
    within_reach[targets[targets >= 0]] = True
    required = ~_ignored(evaluation)
    missed = np.flatnonzero(required & ~found & ~within_reach)
    ranking = _Ranking(evaluation)
    costs = {}
    for kind in range(LOCALISATION, len(ERROR_NAMES)):
        mended = _mend(evaluation, kinds, targets, kind, found)
        costs[ERROR_NAMES[kind]] = ranking.points_over(evaluation, *mended, evaluation.num_objects)
    lost = np.bincount(evaluation.objects.class_ids[missed], minlength=len(evaluation.class_names))
    unchanged = evaluation.verdicts, evaluation.detections.class_ids
    costs["missed"] = ranking.points_over(evaluation, *unchanged, evaluation.num_objects - lost)
    counts = {name: int((kinds == kind).sum()) for kind, name in enumerate(ERROR_NAMES) if name}
    sizes = tuple(_by_size(evaluation, ranking, *size) for size in SIZES)
    return ErrorAnalysis(kinds, targets, missed, counts | {"missed": len(missed)}, costs, sizes)


class _Ranking:
    """The order of all detections by score, found once; mAP under changed verdicts and classes."""

    def __init__(self, evaluation: Evaluation):
        self.rules = evaluation.rules
        by_image = np.argsort(evaluation.detections.images, kind="stable")
        self.order = by_image[np.argsort(-evaluation.detections.scores[by_image], kind="stable")]

    def mean_average_precision(
        self, verdicts: np.ndarray, class_ids: np.ndarray, required: np.ndarray
    ) -> tuple[float, float]:
        """(mAP, mean recall) over the classes of which objects are required; NaN where none is."""
        by_class = self.order[np.argsort(class_ids[self.order], kind="stable")]
        parts = np.split(by_class, np.searchsorted(class_ids[by_class], np.arange(1, len(required))))
        rows = zip(parts, required.tolist(), strict=True)
        results = [average_precision_of(verdicts[part], count, self.rules) for part, count in rows if count]
        if not results:
            return float("nan"), float("nan")
        return float(np.mean([ap for ap, _ in results])), float(np.mean([recall for _, recall in results]))

    def points_over(
        self, evaluation: Evaluation, verdicts: np.ndarray, class_ids: np.ndarray, required: np.ndarray
    ) -> float:
        """mAP points above the evaluation's; where nothing is required any more, nothing is wrong any more."""
        mended, _ = self.mean_average_precision(verdicts, class_ids, required)
        if np.isnan(mended) and evaluation.num_objects.any():
            mended = 1.0
        return 100 * (mended - evaluation.mean_average_precision)


def _ignored(evaluation: Evaluation) -> np.ndarray:
    """[K] bool: objects that need not be found under the evaluation's rules."""
    return evaluation.objects.ignored & (evaluation.rules != "ilsvrc")


def _kinds(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """(kinds [D], targets [D]) of `ErrorAnalysis`."""
    objects, detections = evaluation.objects, evaluation.detections
    false = np.flatnonzero(evaluation.verdicts == FALSE)
    wanted = np.flatnonzero(~_ignored(evaluation))
    asked = evaluation.rules, evaluation.iou_threshold
    thresholds = object_thresholds(objects.boxes_inclusive[wanted], *asked)
    pairs = find_pairs(
        detections.images[false],
        detections.boxes_inclusive[false],
        objects.images[wanted],
        objects.boxes_inclusive[wanted],
        np.minimum(thresholds, BACKGROUND_OVERLAP),
    )
    same_class = detections.class_ids[false[pairs.detections]] == objects.class_ids[wanted[pairs.objects]]
    enough = pairs.overlaps >= thresholds[pairs.objects]
    own = pairs[same_class].best()
    misplaced = own.overlaps < thresholds[own.objects]
    other = pairs[~same_class & enough].best()
    kinds = np.full(len(false), BACKGROUND, np.int8)
    targets = np.full(len(false), -1, np.int64)
    kinds[pairs.detections] = BOTH
    # from the last rule to the first, so that an earlier one wins
    kinds[own.detections[~misplaced]] = DUPLICATE
    for kind, part in ((CLASSIFICATION, other), (LOCALISATION, own[misplaced])):
        kinds[part.detections] = kind
        targets[part.detections] = wanted[part.objects]
    all_kinds, all_targets = np.zeros(len(detections), np.int8), np.full(len(detections), -1, np.int64)
    all_kinds[false], all_targets[false] = kinds, targets
    return all_kinds, all_targets


def _mend(
    evaluation: Evaluation, kinds: np.ndarray, targets: np.ndarray, kind: int, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(verdicts [D], class ids [D]) after one kind of error is mended."""
    verdicts, class_ids = evaluation.verdicts.copy(), evaluation.detections.class_ids.copy()
    wrong = np.flatnonzero(kinds == kind)
    verdicts[wrong] = IGNORED
    aimed = wrong[targets[wrong] >= 0]
    free = aimed[~found[targets[aimed]]]
    ranked = free[np.lexsort((free, -evaluation.detections.scores[free]))]
    _, first = np.unique(targets[ranked], return_index=True)
    moved = ranked[first]
    verdicts[moved] = TRUE
    class_ids[moved] = evaluation.objects.class_ids[targets[moved]]
    return verdicts, class_ids


def _by_size(evaluation: Evaluation, ranking: _Ranking, name: str, low: float, high: float) -> SizeResult:
    object_areas = inclusive_areas(evaluation.objects.boxes_inclusive)
    areas = inclusive_areas(evaluation.detections.boxes_inclusive)
    hit = evaluation.matches >= 0
    areas[hit] = object_areas[evaluation.matches[hit]]
    verdicts = np.where((areas >= low) & (areas < high), evaluation.verdicts, IGNORED)
    wanted = (object_areas >= low) & (object_areas < high) & ~_ignored(evaluation)
    required = np.bincount(evaluation.objects.class_ids[wanted], minlength=len(evaluation.class_names))
    result = ranking.mean_average_precision(verdicts, evaluation.detections.class_ids, required)
    return SizeResult(name, int(required.sum()), *result)
