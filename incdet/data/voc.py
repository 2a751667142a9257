"""PASCAL VOC's layout: `Annotations/*.xml`, `ImageSets/Main/<split>.txt`, `JPEGImages/*.jpg`.

Roboflow's form, where every split is a folder that holds photos and XML together, is read, too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from incdet.config.near_names import nearest_names
from incdet.data.annotation_set import read_annotations, unknown_objects
from incdet.data.class_names import read_class_list
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.file_names import named_apart
from incdet.data.impossible_boxes import warn_of_impossible_boxes, warn_of_odd_boxes
from incdet.data.layouts import (
    files_ending_in,
    folders_with_xml,
    missing_split,
    photos_by_name,
    split_synonyms,
)
from incdet.data.xml_annotations import VOC_BOXES, names_of_annotations, parse_annotation, read_content, read_image_list
from incdet.errors import DataError
from incdet.runtime.counted_words import counted, first_ones

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


CLASSES_FILE = "classes.txt"
"""Name of a file in the folder of own data: its classes, one per line, which replace VOC's."""


def read_voc(root: Path | str, split: str, warn: Warn = no_warning) -> Dataset:
    """Reads a split of a folder in VOC's layout. Own data in this form names its classes in `classes.txt`.

    Args:
        root: The folder.
        split: Name of the split in ImageSets/Main; without that folder, of a folder with photos and XML together.
        warn: Function that is told about objects of unknown classes, photos without annotations and impossible boxes.

    Raises:
        DataError: The split or an annotation is missing or malformed, a class is listed twice, or no object of the
            split has one of the classes.
    """
    root = Path(root)
    lists = root / "ImageSets" / "Main"
    together = [] if lists.is_dir() else folders_with_xml(root)
    if together:
        names, annotations, photos = _read_together(root, split, together, warn)
        class_names = _own_classes(root) or _classes_in_use(together)
    else:
        found = [name for name in split_synonyms(split) if (lists / f"{name}.txt").is_file()]
        if not found and lists.is_dir():
            known = [file.stem for file in files_ending_in(lists, ".txt")]
            raise missing_split(root, split, f"ImageSets/Main/{split}.txt", known)
        known_names = names_of_annotations(root / "Annotations")
        # VOC's lists of single classes have a second column, 1 or -1, which says nothing about the annotations
        names = [name for name, _ in read_image_list(lists / f"{(found or [split])[0]}.txt", known_names)]
        annotations, photos = root / "Annotations", root / "JPEGImages"
        class_names = _own_classes(root) or VOC_CLASSES
    class_ids = {name: index for index, name in enumerate(class_names)}
    annotation_files = [annotations / f"{name}.xml" for name in names]
    truths, unknown = read_annotations(annotation_files, class_ids, VOC_BOXES)
    if unknown:
        owner = str(root / CLASSES_FILE) if (root / CLASSES_FILE).is_file() else "PASCAL VOC"
        if not any(len(truth) for truth in truths):
            raise DataError(
                f"{root} {split} has {counted(sum(unknown.values()), 'object')}, none of a class of {owner}, but of "
                f"{', '.join(sorted(unknown))}; write these classes into {root / CLASSES_FILE}, one a line"
            )
        warn(_unknown_in_split(unknown, owner, split, annotation_files, class_ids))
    warn_of_impossible_boxes(truths, annotation_files, warn)
    warn_of_odd_boxes(truths, annotation_files, warn)
    files = photos_by_name(photos)
    return Dataset(
        name=f"{root.resolve().name} {split}",
        class_names=class_names,
        image_paths=tuple(files.get(name, photos / f"{name}.jpg") for name in names),
        ground_truths=named_apart(truths, [f"{name}.xml" for name in names]),
        image_ids=tuple(names),
        category_ids=tuple(range(1, len(class_names) + 1)),
    )


def _unknown_in_split(
    unknown: Counter[str], owner: str, split: str, files: Sequence[Path], class_ids: Mapping[str, int]
) -> str:
    """Returns a sentence about objects of other classes: their number, their first file, and classes of like names.

    Args:
        unknown: Number of objects by class name.
        owner: The owner of the class list, for the sentence.
        split: Name of the split.
        files: The split's annotations.
        class_ids: Class id by class name.
    """
    # found anew, because few data sets have such objects
    first = next(file for file in files if parse_annotation(read_content(file), file, class_ids, VOC_BOXES)[1])
    sentence = f"{unknown_objects(unknown, owner)}; the first of split '{split}' is in {first}"
    near = {name: nearest_names(name, class_ids) for name in sorted(unknown)}
    meant = [f"{names[0]!r} for {name!r}" for name, names in near.items() if names]
    return f"{sentence}; did you mean {first_ones(meant)}?" if meant else sentence


def _own_classes(root: Path) -> tuple[str, ...] | None:
    file = root / CLASSES_FILE
    return read_class_list(file) if file.is_file() else None


def _read_together(root: Path, split: str, folders: list[Path], warn: Warn) -> tuple[list[str], Path, Path]:
    """Finds a split whose photos and XML lie in one folder, as in Roboflow's export.

    Args:
        root: The folder of the data set.
        split: Name of the split.
        folders: The folders of all splits.
        warn: Function that is told about photos without annotations.

    Returns:
        The names of the photos that have an annotation, the folder of the annotations and that of the photos.

    Raises:
        DataError: There is no folder of the split.
    """
    by_name = {folder.name: folder for folder in folders}
    folder = next((by_name[name] for name in split_synonyms(split) if name in by_name), None)
    if folder is None:
        raise missing_split(root, split, f"{split}/*.xml", by_name)
    names = [file.stem for file in files_ending_in(folder, ".xml")]
    alone = sorted(photos_by_name(folder).keys() - set(names))
    if alone:
        warn(f"left out in {folder}: {counted(len(alone), 'photo')} without annotation ({first_ones(alone)})")
    return names, folder, folder


def _classes_in_use(folders: list[Path]) -> tuple[str, ...]:
    """Returns the names of all objects in some folders, in alphabetical order, so that all splits have the same."""
    annotations = [file for folder in folders for file in files_ending_in(folder, ".xml")]
    _, names = read_annotations(annotations, {}, VOC_BOXES)
    return tuple(sorted(names))
