"""YOLO's layout: `data.yaml`, photos in `images/<split>/`, and one text file of boxes per photo in `labels/<split>/`.

Roboflow's form, `<split>/images/` and `<split>/labels/`, is read, too, and so are folders with `classes.txt` and
without `data.yaml`, as Label Studio writes them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from incdet.config.yaml_text import parse_yaml
from incdet.data.class_names import read_class_list
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.file_names import is_possible, named_apart
from incdet.data.impossible_boxes import warn_of_impossible_boxes, warn_of_odd_boxes
from incdet.data.layouts import (
    YOLO_CLASS_LISTS,
    YOLO_DESCRIPTIONS,
    files_ending_in,
    find_label_folder,
    missing_split,
    split_synonyms,
    subfolders,
    suggest_other_folder,
)
from incdet.data.photo_frame import read_photo_size
from incdet.data.yolo_labels import read_labels
from incdet.errors import ConfigurationError, DataError, ImageError
from incdet.images import SUFFIXES, find_images
from incdet.runtime.counted_words import counted, first_ones, of_all
from incdet.runtime.text_files import read_text
from incdet.structures import GroundTruth


@dataclass(frozen=True)
class _Description:
    """The content of `data.yaml`.

    Attributes:
        class_names: The C classes, in the order of their numbers.
        base: The `path` that the others are relative to; "" where the file has none.
        places: Paths of the photos by the name of their split: folders, or text files that list photos.
    """

    class_names: tuple[str, ...]
    base: str
    places: dict[str, tuple[str, ...]]


def read_yolo(root: Path | str, split: str, warn: Warn = no_warning) -> Dataset:
    """Reads a split of a folder in YOLO's layout. Sizes come from the photos, so these must be there.

    Args:
        root: The folder.
        split: Name of the split. "val" and "valid" name the same one.
        warn: Function that is told about photos without a file of labels, about impossible boxes and about files that
            the search passes over.

    Raises:
        DataError: The description, the split, a photo or a file of labels is missing or malformed.
    """
    root = Path(root)
    description = _read_description(root)
    photos = _photos_of(root, split, description, warn)
    truths, unlabelled = [], []
    for photo in photos:
        try:
            width, height = read_photo_size(photo)
        except ImageError as error:
            raise DataError(f"cannot read the boxes of {photo}, whose size they depend on: {error}") from None
        labels = label_file(photo)
        if labels is None:
            unlabelled.append(photo)
        boxes, class_ids, num_impossible = read_labels(labels, description.class_names, width, height)
        ignored = np.zeros(len(boxes), np.bool_)
        truths.append(GroundTruth(photo.stem, width, height, boxes, class_ids, ignored, num_impossible))
    if len(unlabelled) == len(photos):
        raise DataError(
            f"{counted(len(photos), 'photo')} of {root} {split}, and none has a file of labels; for {photos[0]} "
            f"{_usual_label_file(photos[0])} is expected"
        )
    if unlabelled:
        first = first_ones(photo.name for photo in unlabelled)
        share = of_all(len(unlabelled), len(photos), "photo")
        verbs = "has no file of labels and counts" if len(unlabelled) == 1 else "have no file of labels and count"
        warn(f"{share} {verbs} as empty ({first})")
    warn_of_impossible_boxes(truths, photos, warn)
    warn_of_odd_boxes(truths, photos, warn)
    named = named_apart([_cut_at_borders(truth) for truth in truths], _relative_names(photos))
    return Dataset(
        name=f"{root.resolve().name} {split}",
        class_names=description.class_names,
        image_paths=tuple(photos),
        ground_truths=named,
        image_ids=tuple(truth.image for truth in named),
        category_ids=tuple(range(1, len(description.class_names) + 1)),
    )


def _relative_names(photos: list[Path]) -> list[str]:
    """Returns the photos' files relative to the folder that holds all of them."""
    folder = os.path.commonpath([photo.absolute().parent for photo in photos])
    return [photo.absolute().relative_to(folder).as_posix() for photo in photos]


def _cut_at_borders(truth: GroundTruth) -> GroundTruth:
    """Returns the objects with boxes that end at the photo's borders; those wholly outside stay, so that they count."""
    limits = np.array([truth.width, truth.height], np.float32)
    lies_outside = np.asarray(((truth.boxes[:, 2:] <= 0) | (truth.boxes[:, :2] >= limits)).any(axis=1))
    cut = truth.boxes.clip(0, np.tile(limits, 2))
    return replace(truth, boxes=np.where(lies_outside[:, None], truth.boxes, cut))


def label_file(photo: Path) -> Path | None:
    """Returns the file with a photo's boxes, in the folder `labels` or beside the photo; None where it has none."""
    candidates = (_usual_label_file(photo), photo.with_suffix(".txt"))
    return next((file for file in candidates if file.is_file()), None)


def _usual_label_file(photo: Path) -> Path:
    """Returns the photo's path with `labels` for the last folder of the name `images`, and the ending .txt."""
    parts = list(photo.with_suffix(".txt").parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts)


def _read_description(root: Path) -> _Description:
    """Reads `data.yaml`, or the list of classes where there is none."""
    files = [root / name for name in YOLO_DESCRIPTIONS if (root / name).is_file()] or files_ending_in(
        root, ".yaml", ".yml"
    )
    if files:
        return _parse_description(files[0])
    for name in YOLO_CLASS_LISTS:
        if (root / name).is_file():
            return _Description(read_class_list(root / name), "", {})
    labels = find_label_folder(root)
    found = "it has" if labels is None else f"it has the folder {labels.relative_to(root)}, as in YOLO's layout, but"
    advice = suggest_other_folder(root) or f"write the classes into {root / 'classes.txt'}, one a line"
    raise DataError(
        f"cannot read the data set {root}: {found} neither data.yaml nor classes.txt, which name its classes; {advice}"
    )


def _parse_description(file: Path) -> _Description:
    text = read_text(file, "the description of the data set", "check the path")
    try:
        # a class may be called `yes` or `1`
        values = parse_yaml(text, as_text=True)
    except ConfigurationError as error:
        raise DataError(f"{file} is not valid YAML: {error}; correct it") from None
    if not isinstance(values, dict):
        raise DataError(f"{file} has no keys; expected train, val and names")
    if "kpt_shape" in values:
        raise DataError(f"{file} describes key points (kpt_shape), which are not read; export boxes")
    places = {}
    for key, value in values.items():
        entries = value if isinstance(value, list) else [value]
        if all(isinstance(entry, str) and entry for entry in entries):
            places[key] = tuple(entries)
    base = values.get("path")
    return _Description(_class_names(values, file), base if isinstance(base, str) else "", places)


def _class_names(values: dict[str, Any], file: Path) -> tuple[str, ...]:
    """Returns the classes of `names`, which is a list, or numbers from 0 on with a name each."""
    names = values.get("names")
    if isinstance(names, dict):
        expected = [str(number) for number in range(len(names))]
        if sorted(names) != sorted(expected):
            raise DataError(f"{file} numbers its classes {', '.join(names)}; expected 0 to {len(names) - 1}")
        names = [names[number] for number in expected]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise DataError(f"{file} has no list of classes in 'names'; expected names: [first, second]")
    classes = tuple(name.strip() for name in names)
    if len(set(classes)) < len(classes):
        raise DataError(f"{file} names a class twice in 'names'; give every class a name of its own")
    if values.get("nc", str(len(classes))) != str(len(classes)):
        raise DataError(f"{file} says nc: {values['nc']}, but has {len(classes)} names; correct one of them")
    return classes


def _photos_of(root: Path, split: str, description: _Description, warn: Warn) -> list[Path]:
    """Returns the photos of a split, sorted, from the places in the description or from the usual folders.

    Raises:
        DataError: The split is not described and has no usual folder, or its place is missing or empty.
    """
    photos: list[Path] = []
    for name in split_synonyms(split):
        for entry in description.places.get(name, ()):
            photos += _photos_at(_find_place(root, description.base, entry), warn)
        if photos:
            # folders and lists may overlap
            return list({photo.absolute(): photo for photo in photos}.values())
    folders = dict(_usual_folders(root))
    for name in split_synonyms(split):
        if name in folders:
            return _photos_at(folders[name], warn)
    known = set(folders)
    for name in ("train", "val", "valid", "validation", "test"):
        # a description often lists places that were never made, and the split of a folder by another name
        if known.isdisjoint(split_synonyms(name)) and _has_place(root, description, name):
            known.add(name)
    raise missing_split(root, split, f"'{split}' in data.yaml and no images/{split}", known)


def _has_place(root: Path, description: _Description, split: str) -> bool:
    """Whether all folders or lists are there that the description has for a split, and it has any."""
    entries = description.places.get(split, ())
    try:
        for entry in entries:
            _find_place(root, description.base, entry)
    except DataError:
        return False
    return bool(entries)


def _usual_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Yields split and folder of photos for `images/<split>` and `<split>/images`; photos in `images` are train's."""
    images = root / "images"
    if files_ending_in(images, *SUFFIXES):
        yield "train", images
    elif images.is_dir():
        for folder in subfolders(images):
            yield folder.name, folder
    for folder in subfolders(root):
        if (folder / "images").is_dir():
            yield folder.name, folder / "images"


def _find_place(root: Path, base: str, entry: str) -> Path:
    """Returns the folder or list of photos that an entry of `data.yaml` means.

    Entries are often wrong since the data set was moved or downloaded: Roboflow's begin with `../` although the folders
    lie beside `data.yaml`, others are absolute paths of another machine. Of both, the end of the path is looked for
    below the root.

    Raises:
        DataError: There is no such place.
    """
    if not is_possible(entry) or not is_possible(base):
        raise DataError(
            f"{root} describes its photos by {entry[:60]!r} in {base[:60]!r}, which no file can have; correct it"
        )
    path = Path(entry)
    parts = [part for part in path.parts if part not in ("..", ".", path.anchor)]
    inside = [root.joinpath(*parts)] if path.parts[:1] == ("..",) else []
    ends = [root.joinpath(*parts[start:]) for start in range(len(parts))] if path.is_absolute() else []
    for place in (*inside, root / base / path, root / path, *ends):
        if place.exists():
            return place
    raise DataError(f"cannot read the photos '{entry}' that {root} describes: there is no {root / base / path}")


def _photos_at(place: Path, warn: Warn) -> list[Path]:
    """Returns the photos of a folder and the folders in it, or those that a text file lists."""
    if place.is_dir():
        try:
            return find_images([place], note=warn)
        except ImageError as error:
            raise DataError(f"{error}; check data.yaml") from None
    lines = read_text(place, "the list of photos", "check data.yaml").splitlines()
    # paths in a list are relative to the list
    photos = [place.parent / line.strip() for line in lines if line.strip()]
    if not photos:
        raise DataError(f"the list of photos {place} is empty; check data.yaml")
    for photo in photos:
        if not is_possible(str(photo)):
            raise DataError(f"the list of photos {place} names {photo.name[:60]!r}, which no file can have; correct it")
    return photos
