"""COCO's twelve numbers, by the code that defines them: pycocotools, or faster-coco-eval where it is installed."""

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np

from incdet.data.dataset import Dataset
from incdet.errors import PackageError
from incdet.evaluation.average_precision import results_json
from incdet.evaluation.columns import DetectionColumns
from incdet.ops.boxes import boxes_to_xywh

Backend = Literal["pycocotools", "faster-coco-eval"]

NUMBERS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""Names of the twelve, in pycocotools' order."""


@dataclass(frozen=True, eq=False)
class CocoEvaluation:
    """COCO's judgement.

    Attributes:
        class_names: the C classes.
        numbers: the twelve, by name; -1 where there is nothing to measure.
        average_precision: [C] float64, mean over IoU 0.5 to 0.95; NaN for a class without objects.
        recall: [C] float64, likewise, with 100 detections per image.
        num_objects: [C] int64, without crowds.
        num_images, num_detections: what was judged.
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
        """Under which it was made."""
        return "coco"

    @property
    def mean_average_precision(self) -> float:
        """COCO's AP, over IoU 0.5 to 0.95; NaN without objects."""
        return self.numbers["AP"] if self.num_objects.any() else float("nan")

    @property
    def median_average_precision(self) -> float:
        """The median over the classes that have objects; NaN where none has."""
        return float(np.nanmedian(self.average_precision)) if self.num_objects.any() else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Plain numbers at full precision; a class without objects has AP null."""
        return results_json(self) | {"coco": self.numbers}


def evaluate_coco(
    annotations: Mapping[str, Any], results: Sequence[Mapping[str, Any]], backend: Backend = "pycocotools"
) -> CocoEvaluation:
    """Judges results under COCO's rules.

    Args:
        annotations: a COCO annotation document; areas, crowd flags and ids of annotations are added where missing.
        results: COCO results; their images must be in the document.
        backend: which program computes.

    Raises:
        PackageError: the backend is not installed.
    """
    module = _load(backend)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = module.COCO()
        truth.dataset = _completed(annotations)
        truth.createIndex()
        found = truth.loadRes(copy.deepcopy(list(results))) if results else _nothing(module, truth.dataset)
        judge = (module.COCOeval_faster if backend == "faster-coco-eval" else module.COCOeval)(truth, found, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    categories = [category["id"] for category in annotations["categories"]]
    # both arrays are ordered by category id: [IoU, recall, class, area, detections], [IoU, class, area, detections]
    columns = [judge.params.catIds.index(category) for category in categories]
    counts = dict.fromkeys(categories, 0)
    for annotation in truth.dataset["annotations"]:
        counts[annotation["category_id"]] += not annotation["iscrowd"]
    return CocoEvaluation(
        class_names=tuple(category["name"] for category in annotations["categories"]),
        numbers=dict(zip(NUMBERS, map(float, judge.stats[:12]), strict=True)),
        average_precision=np.array([_mean(judge.eval["precision"][:, :, column, 0, -1]) for column in columns]),
        recall=np.array([_mean(judge.eval["recall"][:, column, 0, -1]) for column in columns]),
        num_objects=np.array([counts[category] for category in categories], np.int64),
        num_images=len(annotations["images"]),
        num_detections=len(results),
    )


def coco_annotations(dataset: Dataset) -> dict[str, Any]:
    """Any data set as a COCO annotation document; images are numbered 1, 2, 3, ... in their order."""
    images, annotations = [], []
    for number, truth in enumerate(dataset.ground_truths, 1):
        images.append({"id": number, "file_name": truth.image, "width": truth.width, "height": truth.height})
        boxes = boxes_to_xywh(truth.boxes.astype(np.float64)).tolist()
        for box, class_id, ignored in zip(boxes, truth.class_ids.tolist(), truth.ignored.tolist(), strict=True):
            category = dataset.category_ids[class_id]
            annotations.append({"image_id": number, "category_id": category, "bbox": box, "iscrowd": int(ignored)})
    names = zip(dataset.category_ids, dataset.class_names, strict=True)
    categories = [{"id": category, "name": name} for category, name in names]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_results_of(
    columns: DetectionColumns, dataset: Dataset, image_ids: Sequence[int | str]
) -> list[dict[str, Any]]:
    """Detections as COCO results, for an annotation document with these image ids."""
    corners = columns.boxes_inclusive
    sides = corners[:, 2:] - corners[:, :2] + 1
    rows = zip(columns.images.tolist(), columns.class_ids.tolist(), columns.scores.tolist(), strict=True)
    boxes = np.concatenate([corners[:, :2], sides], axis=1).tolist()
    return [
        {"image_id": image_ids[image], "category_id": dataset.category_ids[class_id], "bbox": box, "score": score}
        for (image, class_id, score), box in zip(rows, boxes, strict=True)
    ]


def _load(backend: Backend) -> ModuleType:
    if backend == "pycocotools":
        from types import SimpleNamespace

        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return SimpleNamespace(COCO=COCO, COCOeval=COCOeval)  # type: ignore[return-value]
    try:
        import faster_coco_eval
    except ImportError:
        raise PackageError(
            "faster-coco-eval is not installed; run: pip install 'incdet[coco]', or use --coco-backend pycocotools"
        ) from None
    return faster_coco_eval


def _completed(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with what pycocotools insists on and many files leave out."""
    document = copy.deepcopy(dict(annotations))
    for number, annotation in enumerate(document["annotations"], 1):
        # pycocotools takes the id 0 for "nothing found"
        annotation["id"] = number
        annotation.setdefault("iscrowd", 0)
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])
    document.setdefault("info", {})
    return document


def _nothing(module: ModuleType, document: Mapping[str, Any]) -> Any:
    """Results without any detection, which `loadRes` cannot make."""
    found = module.COCO()
    found.dataset = {"images": document["images"], "categories": document["categories"], "annotations": []}
    found.createIndex()
    return found


def _mean(values: np.ndarray) -> float:
    """The mean of what was measured; COCO marks the rest with -1."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else float("nan")
