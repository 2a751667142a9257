"""An evaluation in a file, reduced to the data that a later comparison with another run needs."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incdet.errors import DataError
from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.rules import IGNORED, TRUE
from incdet.runtime.files import load_arrays, save_arrays

FILE_NAME = "judgement.npz"
"""Name of the file in the folder of a report."""

_ARRAYS = (
    "head",
    "object_images",
    "object_classes",
    "detection_images",
    "detection_classes",
    "scores",
    "verdicts",
    "average_precision",
)
"""Names of the arrays in the file."""


_OWNERS = {
    "object_classes": "object_images",
    "detection_classes": "detection_images",
    "scores": "detection_images",
    "verdicts": "detection_images",
}
"""Array -> array of the same length."""


@dataclass(frozen=True, eq=False)
class RankedClass:
    """The ranked detections and the objects of one class.

    Attributes:
        images: [D] int64, image of each counted detection, best score first, up to the last TRUE one.
        found: [D] bool, whether the detection is TRUE.
        object_images: [K] int64, image of each required object.
    """

    images: np.ndarray
    found: np.ndarray
    object_images: np.ndarray


@dataclass(frozen=True, eq=False)
class StoredEvaluation:
    """The part of an evaluation that `compare_evaluations` needs.

    Attributes:
        rules: The rules under which it was made.
        dataset: Name of the data set.
        class_names: The C classes.
        num_images: Number of images in the data set.
        ground_truth: Checksum of images and objects; equal for evaluations that can be compared.
        classes: One entry per class.
        average_precision: [C] float64; NaN for a class without objects.
    """

    rules: str
    dataset: str
    class_names: tuple[str, ...]
    num_images: int
    ground_truth: str
    classes: tuple[RankedClass, ...]
    average_precision: np.ndarray


def save_evaluation(file: Path, evaluation: Evaluation, dataset: str, image_names: Sequence[str]) -> None:
    """Stores an evaluation for later comparisons, atomically.

    Args:
        file: The .npz file.
        evaluation: The evaluation.
        dataset: Name of the data set.
        image_names: Names of all its images, in their order.

    Raises:
        OutputError: The folder cannot be written to.
    """
    objects, detections = evaluation.objects, evaluation.detections
    required = evaluation.is_required
    head: dict[str, Any] = {
        "rules": evaluation.rules,
        "dataset": dataset,
        "classes": evaluation.class_names,
        "images": len(image_names),
        "ground_truth": _ground_truth_checksum(evaluation, required, image_names),
    }
    save_arrays(
        file,
        head=np.array(json.dumps(head)),
        object_images=objects.images[required].astype(np.int32),
        object_classes=objects.class_ids[required].astype(np.int32),
        detection_images=detections.images.astype(np.int32),
        detection_classes=detections.class_ids.astype(np.int32),
        scores=detections.scores,
        verdicts=evaluation.verdicts,
        average_precision=evaluation.average_precision,
    )


def _ground_truth_checksum(evaluation: Evaluation, required: np.ndarray, image_names: Sequence[str]) -> str:
    """Returns the SHA-256 of everything that two evaluations must share before their mAP can be compared."""
    objects = evaluation.objects
    terms = [
        evaluation.rules,
        evaluation.iou_threshold,
        sorted(evaluation.blacklist),
        evaluation.class_names,
        list(image_names),
    ]
    digest = hashlib.sha256(json.dumps(terms).encode())
    for column in (objects.images, objects.class_ids, objects.boxes_inclusive, required):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def load_evaluation(folder: Path) -> StoredEvaluation:
    """Reads the evaluation that `incdet evaluate --output` stored in a folder.

    Raises:
        DataError: The folder holds none, or it is damaged.
    """
    arrays = load_arrays(folder / FILE_NAME, *_ARRAYS)
    if arrays is None:
        raise DataError(
            f"cannot read {folder / FILE_NAME}; give the --output folder of an `incdet evaluate` run under ilsvrc, "
            "voc or voc07 rules"
        )
    try:
        return _restored(arrays)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise DataError(f"{folder / FILE_NAME} is damaged; run `incdet evaluate` with this --output again") from None


def _restored(arrays: dict[str, np.ndarray]) -> StoredEvaluation:
    """Returns the evaluation of stored arrays.

    Raises:
        ValueError: The arrays do not fit together; other errors of wrong types are possible, too.
    """
    head = json.loads(str(arrays["head"]))
    num_classes, num_images = len(head["classes"]), int(head["images"])
    for name, owner in _OWNERS.items():
        if arrays[name].ndim != 1 or arrays[name].shape != arrays[owner].shape:
            raise ValueError(f"'{name}' has another shape than '{owner}'")
    for prefix in ("object", "detection"):
        images, classes = arrays[f"{prefix}_images"], arrays[f"{prefix}_classes"]
        for values, limit in ((images, num_images), (classes, num_classes)):
            if values.dtype.kind != "i" or ((values < 0) | (values >= limit)).any():
                raise ValueError(f"a value of '{prefix}' lies outside")
    if arrays["average_precision"].shape != (num_classes,) or not np.isfinite(arrays["scores"]).all():
        raise ValueError("numbers are missing")
    return StoredEvaluation(
        rules=head["rules"],
        dataset=head["dataset"],
        class_names=tuple(head["classes"]),
        num_images=head["images"],
        ground_truth=head["ground_truth"],
        classes=tuple(_ranked_class(arrays, class_id) for class_id in range(len(head["classes"]))),
        average_precision=arrays["average_precision"],
    )


def _ranked_class(arrays: dict[str, np.ndarray], class_id: int) -> RankedClass:
    counted = (arrays["detection_classes"] == class_id) & (arrays["verdicts"] != IGNORED)
    rows = np.flatnonzero(counted)
    # equal scores are ordered by image, then by the order of the file: both sorts are stable
    rows = rows[np.argsort(arrays["detection_images"][rows], kind="stable")]
    rows = rows[np.argsort(-arrays["scores"][rows], kind="stable")]
    found = arrays["verdicts"][rows] == TRUE
    # detections after the last object found change neither recall nor the envelope of precision
    length = int(np.flatnonzero(found)[-1]) + 1 if found.any() else 0
    object_images = arrays["object_images"][arrays["object_classes"] == class_id]
    return RankedClass(arrays["detection_images"][rows[:length]], found[:length], object_images)
