"""COCO's twelve numbers, computed by the code that defines them: pycocotools, or faster-coco-eval."""

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from incdet.errors import PackageError
from incdet.evaluation.evaluation_json import results_json
from incdet.runtime.optional_packages import is_installed, require_package

Backend = Literal["pycocotools", "faster-coco-eval"]

NUMBERS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""Names of the twelve numbers, in pycocotools' order."""


@dataclass(frozen=True, eq=False)
class CocoEvaluation:
    """The evaluation of a data set's detections under COCO's rules.

    Attributes:
        class_names: The C classes.
        numbers: The twelve numbers by name; -1 where there is nothing to measure.
        average_precision: [C] float64, mean over IoU 0.5 to 0.95; NaN for a class without objects.
        recall: [C] float64, mean over the same IoU with 100 detections per image; NaN for a class without objects.
        num_objects: [C] int64, number of objects, crowds left out.
        num_images: Number of images that were evaluated.
        num_detections: Number of detections that were evaluated.
    """

    class_names: tuple[str, ...]
    numbers: dict[str, float]
    average_precision: np.ndarray
    recall: np.ndarray
    num_objects: np.ndarray
    num_images: int
    num_detections: int

    @property
    def rules(self) -> str:
        """The rules under which it was made, "coco"."""
        return "coco"

    @property
    def mean_average_precision(self) -> float:
        """COCO's AP, the mean over IoU 0.5 to 0.95; NaN without objects."""
        return self.numbers["AP"] if self.num_objects.any() else float("nan")

    @property
    def median_average_precision(self) -> float:
        """The median over the classes that have objects; NaN where none has."""
        return float(np.nanmedian(self.average_precision)) if self.num_objects.any() else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Returns plain numbers at full precision; the AP of a class without objects is null."""
        return results_json(self) | {"coco": self.numbers}


def evaluate_coco(
    annotations: Mapping[str, Any], results: Sequence[Mapping[str, Any]], backend: Backend = "pycocotools"
) -> CocoEvaluation:
    """Evaluates results under COCO's rules.

    Args:
        annotations: A COCO annotation document. Areas, crowd flags and ids of annotations are added where missing.
        results: COCO results whose images are in the document.
        backend: The package that computes, default pycocotools.

    Raises:
        PackageError: The package is not installed.
    """
    coco_class, evaluator_class = _load(backend)
    # the packages report their progress on stdout, which belongs to the caller
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_class()
        truth.dataset = _completed(annotations)
        truth.createIndex()
        # loadRes writes areas and ids into the entries, so it gets a copy
        copied = copy.deepcopy(list(results))
        found = truth.loadRes(copied) if copied else _no_results(coco_class, truth.dataset)
        evaluator = evaluator_class(truth, found, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return _evaluation_of(evaluator, truth.dataset, len(results))


def _evaluation_of(evaluator: Any, document: Mapping[str, Any], num_results: int) -> CocoEvaluation:
    """Reads the numbers of a finished COCOeval."""
    categories = [category["id"] for category in document["categories"]]
    counts = dict.fromkeys(categories, 0)
    for annotation in document["annotations"]:
        counts[annotation["category_id"]] += not annotation["iscrowd"]
    average_precision, recall = [], []
    for category in categories:
        # the arrays are ordered by category id, the document's categories need not be
        column = evaluator.params.catIds.index(category)
        # precision [IoU, recall, class, area, detections] and recall [IoU, class, area, detections]:
        # area 0 is all sizes, the last number of detections is 100
        average_precision.append(_mean(evaluator.eval["precision"][:, :, column, 0, -1]))
        recall.append(_mean(evaluator.eval["recall"][:, column, 0, -1]))
    return CocoEvaluation(
        class_names=tuple(category["name"] for category in document["categories"]),
        numbers=dict(zip(NUMBERS, map(float, evaluator.stats[:12]), strict=True)),
        average_precision=np.array(average_precision),
        recall=np.array(recall),
        num_objects=np.array([counts[category] for category in categories], np.int64),
        num_images=len(document["images"]),
        num_detections=num_results,
    )


def require_backend(backend: Backend) -> None:
    """Makes sure that a backend can compute, before a detector runs over a data set for hours.

    Raises:
        PackageError: The backend is not installed.
    """
    if backend == "pycocotools":
        require_package("pycocotools", "COCO's rules", "eval")
    elif not is_installed("faster_coco_eval"):
        raise PackageError(
            "faster-coco-eval is not installed; run: pip install 'incdet[coco]', or use --coco-backend pycocotools"
        )


def _load(backend: Backend) -> tuple[Any, Any]:
    """Returns the classes COCO and COCOeval of a backend."""
    require_backend(backend)
    if backend == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    from faster_coco_eval import COCO, COCOeval_faster

    return COCO, COCOeval_faster


def _completed(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy with the entries that pycocotools insists on and many files leave out."""
    document = copy.deepcopy(dict(annotations))
    for number, annotation in enumerate(document["annotations"], 1):
        # pycocotools takes the id 0 for "nothing found", so that an object of id 0 could never be found
        annotation["id"] = number
        annotation.setdefault("iscrowd", 0)
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])
    document.setdefault("info", {})
    return document


def _no_results(coco_class: Any, document: Mapping[str, Any]) -> Any:
    """Returns results without any detection, which `loadRes` refuses to make."""
    found = coco_class()
    found.dataset = {"images": document["images"], "categories": document["categories"], "annotations": []}
    found.createIndex()
    return found


def _mean(values: np.ndarray) -> float:
    """Returns the mean of the measured values; COCO marks the others with -1."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else float("nan")
