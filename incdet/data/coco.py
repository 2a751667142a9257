"""COCO's layout: `annotations/instances_<split>.json` and photos in `<split>/`; or any JSON of that form.

Roboflow's form, where every split is a folder with its photos and `_annotations.coco.json`, is read, too.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from incdet.data.coco_entries import check_coco_document
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.impossible_boxes import warn_of_odd_boxes
from incdet.data.layouts import ROBOFLOW_COCO_FILE, missing_split, split_synonyms, subfolders
from incdet.runtime.json_files import read_json


def read_coco_folder(root: Path | str, split: str, warn: Warn = no_warning) -> Dataset:
    """Reads a split of a folder in COCO's layout.

    Args:
        root: The folder.
        split: Name of the split.
        warn: Function that is told about objects that do not count.

    Raises:
        DataError: The annotation file is missing or malformed.
    """
    root = Path(root)
    name = f"{root.resolve().name} {split}"
    names = split_synonyms(split)
    for known in names:
        file = root / known / ROBOFLOW_COCO_FILE
        if file.is_file():
            return read_coco(file, file.parent, name, warn)
    for known in names:
        file = root / "annotations" / f"instances_{known}.json"
        if file.is_file():
            # the official archives unpack to <split>/, other programs expect images/<split>/ or images/
            candidates = (root / known, root / "images" / known, root / "images", root)
            return _with_photos_that_are_there(read_coco(file, candidates[0], name, warn), candidates)
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


def read_coco(file: Path, photos: Path, name: str, warn: Warn = no_warning) -> Dataset:
    """Reads the annotations of one JSON file.

    Classes keep the order of the file's categories, images that of the file. Objects marked `iscrowd` are ignored ones.

    Args:
        file: The annotation file.
        photos: Folder of the photos.
        name: Name of the data set.
        warn: Function that is told about objects that do not count.

    Raises:
        DataError: The file is missing or not JSON, or an entry has an impossible key or value.
    """
    # a name in the file may be an absolute path, but must not show photos from anywhere else
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    entries = check_coco_document(read_json(file), file, root, warn)
    paths = tuple(photos / name for name in entries.file_names)
    warn_of_odd_boxes(entries.ground_truths, paths, warn)
    return Dataset(
        name=name,
        class_names=entries.class_names,
        image_paths=paths,
        ground_truths=entries.ground_truths,
        image_ids=entries.image_ids,
        category_ids=entries.category_ids,
        coco_objects=entries.objects,
        rules="coco",
    )
