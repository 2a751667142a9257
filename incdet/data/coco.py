"""COCO's layout: `annotations/instances_<split>.json` and photos in `<split>/`; or any JSON of that form.

Roboflow's form, where every split is a folder with its photos and `_annotations.coco.json`, is read, too.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.dataset import Dataset
from incdet.data.layouts import ROBOFLOW_COCO_FILE, missing_split, split_synonyms, subfolders
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
    name = f"{root.resolve().name} {split}"
    names = split_synonyms(split)
    for known in names:
        file = root / known / ROBOFLOW_COCO_FILE
        if file.is_file():
            return read_coco(file, file.parent, name)
    for known in names:
        file = root / "annotations" / f"instances_{known}.json"
        if file.is_file():
            # the official archives unpack to <split>/, other programs expect images/<split>/ or images/
            candidates = (root / known, root / "images" / known, root / "images", root)
            return _with_photos_that_are_there(read_coco(file, candidates[0], name), candidates)
    known_splits = [file.stem.removeprefix("instances_") for file in (root / "annotations").glob("instances_*.json")]
    known_splits += [folder.name for folder in subfolders(root) if (folder / ROBOFLOW_COCO_FILE).is_file()]
    raise missing_split(root, split, f"annotations/instances_{split}.json", known_splits)


def _with_photos_that_are_there(dataset: Dataset, candidates: Sequence[Path]) -> Dataset:
    """Returns the data set with the photos of that folder which holds the first photo.

    Where none does, it is the first folder that is there at all, so that messages about missing photos name it.

    Args:
        dataset: The data set, with photos in the first candidate.
        candidates: The folders that may hold the photos.
    """
    # a name in the file may be an absolute path, which no folder changes
    first = candidates[0]
    names = [path.relative_to(first) if path.is_relative_to(first) else path for path in dataset.image_paths]
    folder = next((folder for folder in candidates if names and (folder / names[0]).is_file()), None)
    if folder is None:
        folder = next((folder for folder in candidates if folder.is_dir()), candidates[0])
    return replace(dataset, image_paths=tuple(folder / name for name in names))


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
        categories = without_root_category(document)
        class_names = tuple(str(category["name"]) for category in categories)
        # category ids may have gaps, class ids are 0..C-1
        class_ids = {category["id"]: index for index, category in enumerate(categories)}
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
        if not values or len(values) < len(categories):
            found = f"{len(categories)} categories with {len(values)} different {what}s"
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


def without_root_category(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the categories of a document without the one that Roboflow adds above the others.

    It has the name of the project, is the `supercategory` of others, has "none" for its own, and no object is one.

    Args:
        document: The annotations in COCO's form.
    """
    used = {entry["category_id"] for entry in document["annotations"]}
    parents = {category.get("supercategory") for category in document["categories"]}
    kept = []
    for category in document["categories"]:
        is_root = category.get("supercategory") == "none" and category["name"] in parents
        if not is_root or category["id"] in used:
            kept.append(category)
    return kept


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
