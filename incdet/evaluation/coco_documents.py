"""Ground truth and detections in COCO's two forms, the annotation document and the list of results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.coco_keys import entry_key
from incdet.data.dataset import Dataset, Warn
from incdet.errors import DataError
from incdet.evaluation.columns import DetectionColumns
from incdet.evaluation.split_images import ABSENT, image_positions, leave_out_other_images
from incdet.ops.boxes import boxes_to_xywh
from incdet.runtime.json_files import read_json
from incdet.structures import LARGEST_COORDINATE

LARGEST_NUMBER = 1e300
"""Largest number that may stand in a file; sums of larger ones are infinite."""


def coco_image_ids(dataset: Dataset) -> list[int]:
    """Returns the images' ids in the document that `coco_annotations` makes.

    They are the data set's own where these are numbers, because their order decides between equal scores, else 1, 2, 3.
    """
    own = [image for image in dataset.image_ids if isinstance(image, int)]
    return own if len(own) == len(dataset) else list(range(1, len(dataset) + 1))


def coco_annotations(dataset: Dataset) -> dict[str, Any]:
    """Returns any data set as a COCO annotation document, whose images have the ids of `coco_image_ids`."""
    images, annotations = [], []
    for position, (number, truth) in enumerate(zip(coco_image_ids(dataset), dataset.ground_truths, strict=True)):
        images.append({"id": number, "file_name": truth.image, "width": truth.width, "height": truth.height})
        if dataset.coco_objects is None:
            boxes_xywh = boxes_to_xywh(truth.boxes.astype(np.float64))
            areas = boxes_xywh[:, 2] * boxes_xywh[:, 3]
        else:
            # the document's own numbers, because COCO measures the size of an object by its outline
            boxes_xywh, areas = dataset.coco_objects[position].boxes_xywh, dataset.coco_objects[position].areas
        columns = (boxes_xywh, areas, truth.class_ids, truth.ignored)
        for box, area, class_id, ignored in zip(*(column.tolist() for column in columns), strict=True):
            category = dataset.category_ids[class_id]
            entry = {"image_id": number, "category_id": category, "bbox": box, "area": area, "iscrowd": int(ignored)}
            annotations.append(entry)
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
            class_ids.append(_class_id(entry, class_ids_of))
            numbers.append(_score_and_corners(entry))
        except (KeyError, TypeError, ValueError) as error:
            problem = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
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


def _image_id(entry: Any) -> int | str:
    if not isinstance(entry, dict):
        raise TypeError("it is no object with keys")
    key = entry_key(entry["image_id"])
    if key is None:
        raise TypeError(f"image_id {entry['image_id']!r} is neither a whole number nor a name")
    return key


def _class_id(entry: Mapping[str, Any], class_ids_of: Mapping[int, int]) -> int:
    key = entry_key(entry["category_id"])
    if not isinstance(key, int):
        raise TypeError(f"category_id {entry['category_id']!r} is no whole number")
    if key not in class_ids_of:
        raise ValueError(f"category_id {key} is none of the data set's categories")
    return class_ids_of[key]


def _score_and_corners(entry: Mapping[str, Any]) -> tuple[float, ...]:
    """Returns score, xmin, ymin, xmax, ymax, the corners inclusive."""
    box = entry["bbox"]
    if not isinstance(box, list) or len(box) != 4:
        raise TypeError(f"bbox {str(box)[:60]} is no list of four numbers")
    for value in (*box, entry["score"]):
        # a text is no number, whatever it says, and a truth value is none either
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{str(value)[:60]!r} is no number")
        if not abs(value) <= LARGEST_NUMBER:
            raise ValueError("every number must be finite")
    x, y, width, height = map(float, box)
    values = float(entry["score"]), x, y, x + width - 1, y + height - 1
    if max(map(abs, values[1:])) > LARGEST_COORDINATE:
        raise ValueError("the corners must be pixels of an image")
    return values


def stored_coco_results(file: Path, dataset: Dataset) -> list[dict[str, Any]]:
    """Returns the entries of a COCO results file on the data set's images, numbers as they stand there.

    Args:
        file: The results, which `read_coco_results` has accepted.
        dataset: The data set; the images get the ids of `coco_image_ids`.
    """
    entries = read_json(file, "the predictions", "check the path")
    numbers = coco_image_ids(dataset)
    positions = image_positions([_image_id(entry) for entry in entries], dataset).tolist()
    results = []
    for entry, position in zip(entries, positions, strict=True):
        if position >= 0:
            category = entry_key(entry["category_id"])
            own = {"image_id": numbers[position], "category_id": category}
            results.append(own | {"bbox": entry["bbox"], "score": entry["score"]})
    return results
