"""COCO: `annotations/instances_<split>.json`, photos in `<split>/`; or any JSON of that form."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.dataset import Dataset
from incdet.errors import DataError
from incdet.ops.boxes import boxes_from_xywh
from incdet.runtime.files import read_text
from incdet.structures import GroundTruth


def read_coco_folder(root: Path | str, split: str) -> Dataset:
    """A split of a folder in COCO's layout.

    Raises:
        DataError: the annotation file is missing or malformed.
    """
    root = Path(root)
    photos = next(
        (root / name for name in (split, f"images/{split}", "images") if (root / name).is_dir()), root / split
    )
    return read_coco(root / "annotations" / f"instances_{split}.json", photos, f"{root.resolve().name} {split}")


def read_coco(file: Path, photos: Path, name: str) -> Dataset:
    """The annotations of one JSON file; classes in the order of the file's categories, images in the file's order.

    An object marked `iscrowd` is ignored; boxes are x, y, width, height.

    Raises:
        DataError: missing, not JSON, or without the expected keys.
    """
    document = read_json(file)
    try:
        class_names = tuple(str(category["name"]) for category in document["categories"])
        class_ids = {category["id"]: index for index, category in enumerate(document["categories"])}
        objects: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for entry in document["annotations"]:
            objects[entry["image_id"]].append(entry)
        truths = tuple(_ground_truth(image, objects[image["id"]], class_ids) for image in document["images"])
        paths = tuple(photos / image["file_name"] for image in document["images"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{file} is not in COCO's annotation form ({problem}); expected images, annotations, categories"
        ) from None
    for what, values in (("id", class_ids), ("name", set(class_names))):
        if not values or len(values) < len(document["categories"]):
            found = f"{len(document['categories'])} categories with {len(values)} different {what}s"
            raise DataError(f"{file} has {found}; expected at least one, each with its own {what}")
    return Dataset(
        name=name,
        class_names=class_names,
        image_paths=paths,
        ground_truths=truths,
        image_ids=tuple(image["id"] for image in document["images"]),
        category_ids=tuple(class_ids),
        coco_file=file,
    )


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: missing or not JSON.
    """
    text = read_text(file, "the annotations", "check --root and --split")
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{file} is not valid JSON: {error}") from None


def _ground_truth(image: dict[str, Any], objects: list[dict[str, Any]], class_ids: dict[int, int]) -> GroundTruth:
    boxes_xywh = np.array([entry["bbox"] for entry in objects], np.float32).reshape(-1, 4)
    return GroundTruth(
        image=Path(image["file_name"]).stem,
        width=int(image["width"]),
        height=int(image["height"]),
        boxes=boxes_from_xywh(boxes_xywh),
        class_ids=np.array([class_ids[entry["category_id"]] for entry in objects], np.int64),
        ignored=np.array([bool(entry.get("iscrowd", 0)) for entry in objects], np.bool_),
    )
