"""ILSVRC DET: `Annotations/DET/val/*.xml`, `ImageSets/DET/<split>.txt`, `Data/DET/val/*.JPEG` and the development kit.

Result files name an image by its line in val.txt and a class by its line in map_det.txt (FACTS, section 5.7).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from incdet.data.annotation_set import read_annotations, unknown_objects
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.xml_annotations import ILSVRC_BOXES, read_image_list
from incdet.errors import DataError
from incdet.runtime.files import read_text

_KIT_FOLDERS = ("devkit/data", "ILSVRC2015_devkit/data", "ILSVRC2014_devkit/data", "ILSVRC2013_devkit/data")
_LIST_FOLDERS = ("ImageSets/DET", *(f"{kit}/det_lists" for kit in _KIT_FOLDERS))
_PHOTO_FOLDERS = ("Data/DET/{part}", "ILSVRC2013_DET_{part}", "ILSVRC2014_DET_{part}")
_ANNOTATION_FOLDERS = ("Annotations/DET/{part}", "ILSVRC2013_DET_bbox_{part}", "ILSVRC2014_DET_bbox_{part}")


@dataclass(frozen=True)
class IlsvrcFiles:
    """Files that stand in for those of the official layout; None means the official one.

    Attributes:
        class_map: lines `<WordNet id> <1, 2, 3, ...> <name>`.
        blacklist: lines `<image index> <WordNet id>`.
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
    """A split of the detection task; the folder names of 2013 and 2014 work too.

    Photos are optional: annotations alone can be evaluated against stored predictions.

    Args:
        root: the folder that holds annotations, lists and development kit.
        split: val, val1, val2, train, or a file of lines `<image name> <image index>`; without an index, the image's
            line in val.txt is taken.
        files: instead of the official class map and blacklist.
        cache: folder that keeps the parsed annotations.
        num_processes: that parse them.
        warn: told about a missing blacklist and about objects of unknown classes.

    Raises:
        DataError: the class map, the split or an annotation is missing or malformed.
    """
    root, files = Path(root), files or IlsvrcFiles()
    class_map = files.class_map or _first(root, [f"{kit}/map_det.txt" for kit in _KIT_FOLDERS])
    wordnet_ids, class_names = read_class_map(class_map)
    class_ids = {wordnet_id: index for index, wordnet_id in enumerate(wordnet_ids)}
    entries, others = _numbered_images(root, split)
    part = "train" if "train" in entries[0][0] else "val"
    annotations = _first(root, [folder.format(part=part) for folder in _ANNOTATION_FOLDERS])
    photos = _first(root, [folder.format(part=part) for folder in _PHOTO_FOLDERS])
    paths = [annotations / f"{name}.xml" for name, _ in entries]
    truths, unknown = read_annotations(paths, class_ids, ILSVRC_BOXES, cache, num_processes)
    if unknown:
        warn(unknown_objects(unknown, str(class_map)))
    return Dataset(
        name=f"{root.resolve().name} {Path(split).stem}",
        class_names=class_names,
        image_paths=tuple(photos / f"{name}.JPEG" for name, _ in entries),
        ground_truths=tuple(truths),
        image_ids=tuple(number for _, number in entries),
        category_ids=tuple(range(1, len(class_names) + 1)),
        other_image_ids=others,
        blacklist=_blacklist(root, others is not None, files.blacklist, [n for _, n in entries], class_ids, warn),
    )


def read_class_map(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(WordNet ids, class names) in the development kit's order; lines read `<WordNet id> <class id> <name>`.

    Raises:
        DataError: missing, malformed, or class ids that do not run 1, 2, 3, ...
    """
    text = read_text(file, "the class map", "it is part of the development kit")
    rows = [line.split(maxsplit=2) for line in text.splitlines() if line.strip()]
    if not rows or any(len(row) != 3 or row[1] != str(number) for number, row in enumerate(rows, 1)):
        raise DataError(f"the class map {file} is not a list of '<WordNet id> <1, 2, 3, ...> <name>'; get a whole copy")
    return tuple(row[0] for row in rows), tuple(row[2].strip() for row in rows)


def read_blacklist(file: Path, class_ids: Collection[str]) -> list[tuple[int, str]]:
    """(image index, WordNet id) of every pair that counts neither way.

    Raises:
        DataError: missing, or a line that is not `<image index> <known WordNet id>`.
    """
    pairs = []
    for number, line in enumerate(read_text(file, "the blacklist", "check --blacklist").splitlines(), 1):
        words = line.split()
        if words and not (len(words) == 2 and words[0].isdecimal() and words[1] in class_ids):
            raise DataError(f"{file}, line {number}: expected '<image index> <WordNet id>', found {line.strip()!r}")
        if words:
            pairs.append((int(words[0]), words[1]))
    return pairs


def _blacklist(
    root: Path, of_val: bool, file: Path | None, numbers: Sequence[int], class_ids: dict[str, int], warn: Warn
) -> frozenset[tuple[int, int]]:
    """The pairs of this split as (position, class id); the official ones index val.txt, so they are for val only."""
    if not of_val and file is None:
        return frozenset()
    official = (sorted((root / kit).glob("*det_validation_blacklist.txt")) for kit in _KIT_FOLDERS)
    file = file or next((found[-1] for found in official if found), None)
    if file is None:
        warn(f"found no *det_validation_blacklist.txt under {root}: every pair of image and class counts")
        return frozenset()
    positions = {number: position for position, number in enumerate(numbers)}
    pairs = read_blacklist(file, class_ids)
    return frozenset((positions[number], class_ids[kind]) for number, kind in pairs if number in positions)


def _numbered_images(root: Path, split: str) -> tuple[list[tuple[str, int]], frozenset[int | str] | None]:
    """((name, index) of the split's images by rising index, indices of the other images of val or None outside val)."""
    named = _first(root, [f"{folder}/{split}.txt" for folder in _LIST_FOLDERS])
    listed = read_image_list(Path(split) if Path(split).is_file() and not named.is_file() else named)
    official = _first(root, [f"{folder}/val.txt" for folder in _LIST_FOLDERS])
    val = _with_lines(read_image_list(official)) if official.is_file() else {}
    of_val = all(name in val for name, _ in listed)
    fallback = val if of_val else _with_lines(listed)
    # the development kit goes through the images by their index, which decides between equal scores
    entries = sorted(((name, fallback[name] if number is None else number) for name, number in listed), key=_index)
    if len({number for _, number in entries}) < len(entries):
        raise DataError(f"the image list of the split '{split}' gives two images the same index; correct the file")
    others: frozenset[int | str] = frozenset(val.values()) - {number for _, number in entries}
    return entries, others if of_val else None


def _with_lines(entries: Sequence[tuple[str, int | None]]) -> dict[str, int]:
    return {name: line if number is None else number for line, (name, number) in enumerate(entries, 1)}


def _index(entry: tuple[str, int]) -> int:
    return entry[1]


def _first(root: Path, candidates: Sequence[str]) -> Path:
    """The first of these that exists under the folder; the first of all where none does, for its error message."""
    return next((root / candidate for candidate in candidates if (root / candidate).exists()), root / candidates[0])
