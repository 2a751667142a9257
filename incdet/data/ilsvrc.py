"""ILSVRC DET's layout: `Annotations/DET/val/*.xml`, `ImageSets/DET/<split>.txt`, `Data/DET/val/*.JPEG`, the devkit.

Result files name an image by its line in val.txt and a class by its line in map_det.txt.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from incdet.data.annotation_set import read_annotations, unknown_objects
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.file_names import named_apart
from incdet.data.impossible_boxes import warn_of_impossible_boxes, warn_of_odd_boxes
from incdet.data.xml_annotations import ILSVRC_BOXES, read_image_list
from incdet.errors import DataError
from incdet.runtime.text_files import is_whole_number, read_text

_KIT_FOLDERS = ("devkit/data", "ILSVRC2015_devkit/data", "ILSVRC2014_devkit/data", "ILSVRC2013_devkit/data")
_LIST_FOLDERS = ("ImageSets/DET", *(f"{kit}/det_lists" for kit in _KIT_FOLDERS))
_PHOTO_FOLDERS = ("Data/DET/{part}", "ILSVRC2013_DET_{part}", "ILSVRC2014_DET_{part}")
_ANNOTATION_FOLDERS = ("Annotations/DET/{part}", "ILSVRC2013_DET_bbox_{part}", "ILSVRC2014_DET_bbox_{part}")


@dataclass(frozen=True)
class IlsvrcFiles:
    """Files that replace those of the official layout; None means the official one.

    Attributes:
        class_map: Lines `<WordNet id> <1, 2, 3, ...> <name>`.
        blacklist: Lines `<image index> <WordNet id>`.
    """

    class_map: Path | None = None
    blacklist: Path | None = None


def read_ilsvrc(
    root: Path | str,
    split: str,
    files: IlsvrcFiles | None = None,
    cache: Path | None = None,
    num_processes: int = 1,
    warn: Warn = no_warning,
) -> Dataset:
    """Reads a split of the detection task. The folder names of 2013 and 2014 work, too.

    Photos are optional: stored predictions can be evaluated against annotations alone.

    Args:
        root: The folder of annotations, lists and development kit.
        split: val, val1, val2, train, or a file of lines `<image name> <image index>`. An image without an index has
            that of its line in val.txt.
        files: Replacements of the official class map and blacklist.
        cache: Folder of the cache of parsed annotations, default none.
        num_processes: Number of processes that parse the annotations, default 1.
        warn: Function that is told about a missing blacklist and about objects of unknown classes.

    Raises:
        DataError: The class map, the split or an annotation is missing or malformed.
    """
    root, files = Path(root), files or IlsvrcFiles()
    class_map = files.class_map or _first(root, [f"{kit}/map_det.txt" for kit in _KIT_FOLDERS])
    wordnet_ids, class_names = read_class_map(class_map)
    class_ids = {wordnet_id: index for index, wordnet_id in enumerate(wordnet_ids)}
    entries, others = _numbered_images(root, split)
    # names in train.txt begin with the folders of the training photos
    part = "train" if "train" in entries[0][0] else "val"
    annotations = _first(root, [folder.format(part=part) for folder in _ANNOTATION_FOLDERS])
    photos = _first(root, [folder.format(part=part) for folder in _PHOTO_FOLDERS])
    paths = [annotations / f"{name}.xml" for name, _ in entries]
    truths, unknown = read_annotations(paths, class_ids, ILSVRC_BOXES, cache, num_processes)
    if unknown:
        warn(unknown_objects(unknown, str(class_map)))
    warn_of_impossible_boxes(truths, paths, warn)
    warn_of_odd_boxes(truths, paths, warn)
    return Dataset(
        name=f"{root.resolve().name} {Path(split).stem}",
        class_names=class_names,
        image_paths=tuple(photos / f"{name}.JPEG" for name, _ in entries),
        ground_truths=named_apart(truths, [f"{name}.xml" for name, _ in entries]),
        image_ids=tuple(number for _, number in entries),
        category_ids=tuple(range(1, len(class_names) + 1)),
        other_image_ids=others,
        rules="ilsvrc",
        blacklist=_blacklist(
            root, others is not None, files.blacklist, [number for _, number in entries], class_ids, warn
        ),
    )


def read_class_map(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns WordNet ids and class names in the kit's order, from lines `<WordNet id> <class id> <name>`.

    Raises:
        DataError: The file is missing or malformed, or its class ids do not run 1, 2, 3, ...
    """
    text = read_text(file, "the class map", "it is part of the development kit")
    rows = [line.split(maxsplit=2) for line in text.splitlines() if line.strip()]
    if not rows or any(len(row) != 3 or row[1] != str(number) for number, row in enumerate(rows, 1)):
        raise DataError(f"the class map {file} is not a list of '<WordNet id> <1, 2, 3, ...> <name>'; get a whole copy")
    return tuple(row[0] for row in rows), tuple(row[2].strip() for row in rows)


def read_blacklist(file: Path, class_ids: Collection[str]) -> list[tuple[int, str]]:
    """Returns image index and WordNet id of every pair that counts neither way.

    Args:
        file: The blacklist.
        class_ids: The known WordNet ids.

    Raises:
        DataError: The file is missing, or a line is not `<image index> <known WordNet id>`.
    """
    pairs = []
    for number, line in enumerate(read_text(file, "the blacklist", "check --blacklist").splitlines(), 1):
        words = line.split()
        if words and not (len(words) == 2 and is_whole_number(words[0]) and words[1] in class_ids):
            raise DataError(f"{file}, line {number}: expected '<image index> <WordNet id>', found {line.strip()!r}")
        if words:
            pairs.append((int(words[0]), words[1]))
    return pairs


def _blacklist(
    root: Path, of_val: bool, file: Path | None, numbers: Sequence[int], class_ids: dict[str, int], warn: Warn
) -> frozenset[tuple[int, int]]:
    """Returns the pairs of this split as position and class id.

    Args:
        root: The folder of the data set.
        of_val: Whether all images of the split belong to val.
        file: Replacement of the official blacklist, or None.
        numbers: Index of each image of the split.
        class_ids: Class id by WordNet id.
        warn: Function that is told about a missing blacklist.
    """
    # the official blacklist refers to the lines of val.txt, so it says nothing about other images
    if not of_val and file is None:
        return frozenset()
    if file is None:
        file = _official_blacklist(root)
    if file is None:
        warn(f"found no *det_validation_blacklist.txt under {root}: every pair of image and class counts")
        return frozenset()
    positions = {number: position for position, number in enumerate(numbers)}
    pairs = read_blacklist(file, class_ids)
    return frozenset((positions[number], class_ids[kind]) for number, kind in pairs if number in positions)


def _official_blacklist(root: Path) -> Path | None:
    """Returns the kit's blacklist of the latest year, or None without one."""
    for kit in _KIT_FOLDERS:
        found = sorted((root / kit).glob("*det_validation_blacklist.txt"))
        if found:
            return found[-1]
    return None


def _numbered_images(root: Path, split: str) -> tuple[list[tuple[str, int]], frozenset[int | str] | None]:
    """Returns name and index of the split's images by rising index, and the indices of all other images of val.

    The latter are None for a split with images outside val.
    """
    named = _first(root, [f"{folder}/{split}.txt" for folder in _LIST_FOLDERS])
    # the name of a split wins over a file of that name
    listed = read_image_list(Path(split) if Path(split).is_file() and not named.is_file() else named)
    official = _first(root, [f"{folder}/val.txt" for folder in _LIST_FOLDERS])
    val = _with_lines(read_image_list(official)) if official.is_file() else {}
    of_val = all(name in val for name, _ in listed)
    fallback = val if of_val else _with_lines(listed)
    entries = []
    for name, number in listed:
        entries.append((name, fallback[name] if number is None else number))
    # the development kit goes through the images by their index, which decides between equal scores
    entries.sort(key=_index)
    if len({number for _, number in entries}) < len(entries):
        raise DataError(f"the image list of the split '{split}' gives two images the same index; correct the file")
    others: frozenset[int | str] = frozenset(val.values()) - {number for _, number in entries}
    return entries, others if of_val else None


def _with_lines(entries: Sequence[tuple[str, int | None]]) -> dict[str, int]:
    """Returns the index of each image: its number where the list has one, else its line."""
    return {name: line if number is None else number for line, (name, number) in enumerate(entries, 1)}


def _index(entry: tuple[str, int]) -> int:
    return entry[1]


def _first(root: Path, candidates: Sequence[str]) -> Path:
    """Returns the first candidate that exists under the folder; the very first where none does, for the error message.

    Args:
        root: The folder.
        candidates: Paths relative to it, best first.
    """
    return next((root / candidate for candidate in candidates if (root / candidate).exists()), root / candidates[0])
