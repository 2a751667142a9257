"""Ground truth and detections in COCO's two forms, the annotation document and the list of results."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.dataset import Dataset, Warn
from incdet.errors import DataError
from incdet.evaluation.columns import DetectionColumns
from incdet.evaluation.split_images import ABSENT, image_positions, leave_out_other_images
from incdet.ops.boxes import boxes_to_xywh
from incdet.runtime.json_files import read_json
from incdet.structures import LARGEST_COORDINATE


def coco_annotations(dataset: Dataset) -> dict[str, Any]:
    """Returns any data set as a COCO annotation document; images are numbered 1, 2, 3, ... in their order."""
    images, annotations = [], []
    for number, truth in enumerate(dataset.ground_truths, 1):
        images.append({"id": number, "file_name": truth.image, "width": truth.width, "height": truth.height})
        boxes_xywh = boxes_to_xywh(truth.boxes.astype(np.float64)).tolist()
        for box, class_id, ignored in zip(boxes_xywh, truth.class_ids.tolist(), truth.ignored.tolist(), strict=True):
            category = dataset.category_ids[class_id]
            annotations.append({"image_id": number, "category_id": category, "bbox": box, "iscrowd": int(ignored)})
    categories = [
        {"id": category, "name": name} for category, name in zip(dataset.category_ids, dataset.class_names, strict=True)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_results_of(
    columns: DetectionColumns, dataset: Dataset, image_ids: Sequence[int | str]
) -> list[dict[str, Any]]:
    """Returns detections as COCO results.

    Args:
        columns: The detections.
        dataset: Their data set, for the category ids.
        image_ids: Ids of the data set's images in the annotation document.
    """
    corners = columns.boxes_inclusive
    # COCO's boxes are x, y, width, height without the inclusive pixel
    sides = corners[:, 2:] - corners[:, :2] + 1
    boxes_xywh = np.concatenate([corners[:, :2], sides], axis=1)
    results = []
    for image, class_id, score, box in zip(
        columns.images.tolist(),
        columns.class_ids.tolist(),
        columns.scores.tolist(),
        boxes_xywh.tolist(),
        strict=True,
    ):
        category = dataset.category_ids[class_id]
        results.append({"image_id": image_ids[image], "category_id": category, "bbox": box, "score": score})
    return results


def read_coco_results(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    """Reads a list of COCO results. See `incdet.evaluation.predictions.read_predictions`."""
    entries = read_json(file, "the predictions", "check the path")
    class_ids_of = {category: class_id for class_id, category in enumerate(dataset.category_ids)}
    image_ids, class_ids, numbers = [], [], []
    for number, entry in enumerate(entries, 1):
        try:
            image_ids.append(_image_id(entry))
            class_ids.append(class_ids_of[entry["category_id"]])
            numbers.append(_score_and_corners(entry))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            problem = f"{error} is missing or unknown" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{file}, entry {number}: {problem}; expected image_id, category_id of the data set, bbox [x, y, "
                "width, height] and score"
            ) from None
    # score and four corners: [D, 5]
    table = np.array(numbers, np.float64).reshape(-1, 5)
    images = image_positions(image_ids, dataset)
    # where the whole collection is known, an image outside it is a mistake
    if dataset.other_image_ids is not None and (images == ABSENT).any():
        row = int(np.flatnonzero(images == ABSENT)[0])
        problem = f"{dataset.name} belongs to a list that has no image {image_ids[row]!r}"
        raise DataError(f"{file}, entry {row + 1}: {problem}")
    kept = leave_out_other_images(images, image_ids, file, dataset, warn)
    return DetectionColumns(
        images=images[kept],
        class_ids=np.array(class_ids, np.int64)[kept],
        scores=table[kept, 0].copy(),
        boxes_inclusive=table[kept, 1:].copy(),
    )


def _image_id(entry: Mapping[str, Any]) -> int | str:
    # a bool is an int in Python, but no id
    if isinstance(entry["image_id"], bool) or not isinstance(entry["image_id"], int | str):
        raise TypeError("image_id is neither a number nor a name")
    return entry["image_id"]


def _score_and_corners(entry: Mapping[str, Any]) -> tuple[float, ...]:
    """Returns score, xmin, ymin, xmax, ymax, the corners inclusive."""
    if not isinstance(entry["bbox"], list):
        raise TypeError("bbox is no list")
    x, y, width, height = map(float, entry["bbox"])
    values = float(entry["score"]), x, y, x + width - 1, y + height - 1
    if not all(map(math.isfinite, values)):
        raise ValueError("every number must be finite")
    if max(map(abs, values[1:])) > LARGEST_COORDINATE:
        raise ValueError("the corners must be pixels of an image")
    return values
