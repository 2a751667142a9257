"""The entries of COCO's annotation document, checked one by one: keys, references, types and numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.coco_keys import Key, entry_key
from incdet.data.coco_values import (
    WrongEntryError,
    area_of,
    box_of,
    box_problem,
    category_of,
    is_crowd,
    kind_of,
    shown_value,
)
from incdet.data.dataset import CocoObjects
from incdet.data.file_names import is_ordinary, is_possible, is_whole_text, stays_inside, unique_names
from incdet.data.impossible_boxes import ImpossibleBoxes
from incdet.errors import DataError
from incdet.ops.boxes import boxes_from_xywh
from incdet.runtime.counted_words import of_all
from incdet.structures import LARGEST_COORDINATE, GroundTruth


@dataclass
class _ImageEntry:
    """An image of the document, and the objects on it that have been read so far."""

    file_name: str
    width: int
    height: int
    boxes_xywh: list[list[float]] = field(default_factory=list)
    class_ids: list[int] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    num_impossible: int = 0


@dataclass(frozen=True)
class CocoEntries:
    """The checked content of a document.

    Attributes:
        class_names: The C classes, in the order of the categories.
        category_ids: The categories' ids.
        image_ids: The images' ids, in the order of the document.
        file_names: The images' files, relative to the folder of the photos.
        ground_truths: The objects of each image.
        objects: The numbers of the same objects as they stand in the document.
    """

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_ids: tuple[Key, ...]
    file_names: tuple[str, ...]
    ground_truths: tuple[GroundTruth, ...]
    objects: tuple[CocoObjects, ...]


def check_coco_document(document: Any, file: Path, root: Path, warn: Callable[[str], None]) -> CocoEntries:
    """Checks a document and returns what it says.

    Args:
        document: The value of the JSON.
        file: Its file, for messages.
        root: Folder of the data set; names of photos may be absolute, but must not lead out of it.
        warn: Function that is told about annotations that do not count: those on images that the document does not
            list, and those whose box is impossible.

    Raises:
        DataError: A key is missing or there twice, or a value has another type; the message names the entry.
    """
    expected = "expected lists of images, annotations and categories, as in COCO's annotations"
    if not isinstance(document, dict):
        raise DataError(f"{file} is not in COCO's annotation form (it is a {kind_of(document)}); {expected}")
    lists: dict[str, list[Any]] = {}
    for name in ("images", "annotations", "categories"):
        if not isinstance(document.get(name), list):
            found = f"'{name}' is a {kind_of(document[name])}" if name in document else f"it has no '{name}'"
            raise DataError(f"{file} is not in COCO's annotation form ({found}); {expected}")
        lists[name] = document[name]
    if not lists["images"]:
        raise DataError(f"{file} has no images; expected at least one")
    images = _read_images(lists["images"], file, root)
    names = _read_categories(lists["categories"], file)
    used = _read_annotations(lists["annotations"], images, names, file, warn)
    names = _without_root_category(lists["categories"], names, used)
    if not names:
        raise DataError(f"{file} has no categories; expected at least one")
    class_ids = {category: index for index, category in enumerate(names)}
    image_names = unique_names([image.file_name for image in images.values()])
    truths = [_ground_truth(name, image, class_ids) for name, image in zip(image_names, images.values(), strict=True)]
    return CocoEntries(
        class_names=tuple(names.values()),
        category_ids=tuple(names),
        image_ids=tuple(images),
        file_names=tuple(image.file_name for image in images.values()),
        ground_truths=tuple(truths),
        objects=tuple(_objects(image) for image in images.values()),
    )


def _read_images(entries: list[Any], file: Path, root: Path) -> dict[Key, _ImageEntry]:
    images: dict[Key, _ImageEntry] = {}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise DataError(
                f"{file}: image number {number} is a {kind_of(entry)}; expected id, file_name, width, height"
            )
        key, name = entry_key(entry.get("id")), entry.get("file_name")
        if key is None:
            raise DataError(
                f"{file}: image number {number} has the id {shown_value(entry, 'id')}; expected a number or text"
            )
        place = f"{file}: image {key!r}"
        if not isinstance(name, str) or not name:
            raise DataError(
                f"{place} has the file_name {shown_value(entry, 'file_name')}; expected the name of its file"
            )
        # programs on Windows write their own separator
        name = name.replace("\\", "/")
        if not is_ordinary(name):
            _require_file_name(name, place, root)
        if key in images:
            both = f"{images[key].file_name}, {name}"
            raise DataError(f"{file} has two images with the id {key!r} ({both}); give every image an id of its own")
        width, height = (_side(entry, side, f"{place} ({name})") for side in ("width", "height"))
        images[key] = _ImageEntry(name, width, height)
    return images


def _require_file_name(name: str, place: str, root: Path) -> None:
    """Raises DataError for a name that no file can have, or that leads out of the folder of the data set."""
    if not is_possible(name):
        raise DataError(f"{place} has the file_name {name[:60]!r}, which no file can have; correct it")
    # absolute names are those of one machine, but may still be right
    path = Path(name)
    relative = path.relative_to(root.absolute()) if path.is_relative_to(root.absolute()) else path
    if not stays_inside(str(relative)):
        raise DataError(f"{place} has the file_name {name!r}, which leads out of the data set's folder; correct it")


def _side(entry: Mapping[str, Any], side: str, place: str) -> int:
    """Returns the width or the height of an image in whole pixels; 0 states none."""
    value = entry.get(side)
    number = None if isinstance(value, str) else entry_key(value)
    if not isinstance(number, int) or not 0 <= number <= LARGEST_COORDINATE:
        raise DataError(f"{place} has the {side} {shown_value(entry, side)}; expected a number of pixels")
    return number


def _read_categories(entries: list[Any], file: Path) -> dict[int, str]:
    """Returns the name by the id of every category."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise DataError(f"{file}: category number {number} is a {kind_of(entry)}; expected id and name")
        key, name = entry_key(entry.get("id")), entry.get("name")
        if not isinstance(key, int):
            raise DataError(
                f"{file}: category number {number} has the id {shown_value(entry, 'id')}; expected a number"
            )
        if not isinstance(name, str) or not name.strip() or not is_whole_text(name):
            raise DataError(f"{file}: category {key} has the name {shown_value(entry, 'name')}; expected text")
        if key in names:
            raise DataError(f"{file} has two categories with the id {key} ({names[key]}, {name}); correct one of them")
        if name in taken:
            raise DataError(f"{file} has two categories with the name {name!r}; expected each with its own name")
        names[key] = name
        taken.add(name)
    return names


def _read_annotations(
    entries: list[Any],
    images: dict[Key, _ImageEntry],
    names: Mapping[int, str],
    file: Path,
    warn: Callable[[str], None],
) -> set[int]:
    """Adds the objects to their images and returns the ids of the categories that have any."""
    orphans: list[tuple[str, Any]] = []
    impossible = ImpossibleBoxes()
    used: set[int] = set()
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise DataError(
                f"{file}: annotation number {number} is a {kind_of(entry)}; expected image_id, category_id, bbox"
            )
        key = entry_key(entry.get("image_id"))
        if key is None:
            found = shown_value(entry, "image_id")
            raise DataError(f"{file}: {_place(entry, number)} has the image_id {found}; expected the id of an image")
        image = images.get(key)
        try:
            category, box, is_ignored = category_of(entry, names), box_of(entry), is_crowd(entry)
            used.add(category)
            if image is None:
                orphans.append((_place(entry, number), key))
                continue
            problem = box_problem(box)
            if problem is not None:
                image.num_impossible += 1
                impossible.add(f"{_place(entry, number)} of {image.file_name}", problem)
                continue
            area = area_of(entry, box)
        except WrongEntryError as error:
            name = repr(key) if image is None else image.file_name
            raise DataError(f"{file}: {_place(entry, number)} (image {name}){error}") from None
        image.boxes_xywh.append(box)
        image.class_ids.append(category)
        image.ignored.append(is_ignored)
        image.areas.append(area)
    if orphans:
        first = f"the first is {orphans[0][0]} on image {orphans[0][1]!r}"
        lies, image_word = ("lies", "an image") if len(orphans) == 1 else ("lie", "images")
        warn(
            f"{of_all(len(orphans), len(entries), 'annotation')} in {file} {lies} on {image_word} that the file does "
            f"not list ({first}): left out"
        )
    impossible.tell(str(file), warn)
    return used


def _place(entry: Mapping[str, Any], number: int) -> str:
    return f"annotation {entry['id']!r}" if "id" in entry else f"annotation number {number}"


def _without_root_category(entries: list[Any], names: dict[int, str], used: set[int]) -> dict[int, str]:
    """Returns the categories without the one that Roboflow adds above the others.

    It has the project's name, is the `supercategory` of others, has "none" for its own, and no object is one.
    """
    parents = {entry.get("supercategory") for entry in entries if isinstance(entry.get("supercategory"), str)}
    roots = set()
    for key, entry in zip(names, entries, strict=True):
        if entry.get("supercategory") == "none" and names[key] in parents and key not in used:
            roots.add(key)
    return {key: name for key, name in names.items() if key not in roots}


def _ground_truth(name: str, image: _ImageEntry, class_ids: Mapping[int, int]) -> GroundTruth:
    boxes_xywh = np.array(image.boxes_xywh, np.float32).reshape(-1, 4)
    return GroundTruth(
        image=name,
        width=image.width,
        height=image.height,
        boxes=boxes_from_xywh(boxes_xywh),
        class_ids=np.array([class_ids[category] for category in image.class_ids], np.int64),
        ignored=np.array(image.ignored, np.bool_),
        num_impossible=image.num_impossible,
    )


def _objects(image: _ImageEntry) -> CocoObjects:
    return CocoObjects(np.array(image.boxes_xywh, np.float64).reshape(-1, 4), np.array(image.areas, np.float64))
