"""COCO's layout: `annotations/instances_<split>.json` and photos in `<split>/`; or any JSON of that form."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.dataset import Dataset
from incdet.errors import DataError
from incdet.ops.boxes import boxes_from_xywh
from incdet.runtime.json_files import read_json
from incdet.structures import GroundTruth


def read_coco_folder(root: Path | str, split: str) -> Dataset:
    """Reads a split of a folder in COCO's layout.

    Args:
        root: The folder.
        split: Name of the split.

    Raises:
        DataError: The annotation file is missing or malformed.
    """
    root = Path(root)
    # the official archives unpack to <split>/, other programs expect images/<split>/ or images/
    candidates = [root / split, root / "images" / split, root / "images"]
    photos = next((folder for folder in candidates if folder.is_dir()), root / split)
    return read_coco(root / "annotations" / f"instances_{split}.json", photos, f"{root.resolve().name} {split}")


def read_coco(file: Path, photos: Path, name: str) -> Dataset:
    """Reads the annotations of one JSON file.

    Classes keep the order of the file's categories, images that of the file. Objects marked `iscrowd` are ignored ones.

    Args:
        file: The annotation file.
        photos: Folder of the photos.
        name: Name of the data set.

    Raises:
        DataError: The file is missing, not JSON, or lacks expected keys.
    """
    document = read_json(file)
    try:
        class_names = tuple(str(category["name"]) for category in document["categories"])
        # category ids may have gaps, class ids are 0..C-1
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
        rules="coco",
    )


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
