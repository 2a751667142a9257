"""How the layouts of data sets are told apart, the names of splits, and the photos beside annotations."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from incdet.data.collection import Collection
from incdet.errors import DataError, reason
from incdet.images import SUFFIXES
from incdet.runtime.addresses import find_address
from incdet.runtime.counted_words import first_ones

ROBOFLOW_COCO_FILE = "_annotations.coco.json"
"""Name of the annotations in every split's folder of Roboflow's COCO export."""

YOLO_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
"""Names of the file that describes a data set in YOLO's layout."""

YOLO_CLASS_LISTS = ("classes.txt", "labels/classes.txt", "obj.names")
"""Files with one class a line, where a data set in YOLO's layout has no description."""

_VALIDATION = ("val", "valid", "validation")
"""Names of the same split in the programs that write data sets. Roboflow's is "valid"."""


def split_synonyms(split: str) -> tuple[str, ...]:
    """Returns the names under which programs store a split, the given one first.

    >>> split_synonyms("val"), split_synonyms("train")
    (('val', 'valid', 'validation'), ('train',))
    """
    if split not in _VALIDATION:
        return (split,)
    return (split, *(name for name in _VALIDATION if name != split))


def files_ending_in(folder: Path, *suffixes: str) -> list[Path]:
    """Returns the files of a folder with one of these endings, in lower case, sorted; none where there is no folder.

    Hidden files are left out.

    Raises:
        DataError: The folder cannot be read.
    """
    if not folder.is_dir():
        return []
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {reason(error)}; check its rights") from None
    return [file for file in files if file.suffix.lower() in suffixes and not file.name.startswith(".")]


def photos_by_name(folder: Path) -> dict[str, Path]:
    """Returns the photos of a folder by their names without ending."""
    return {photo.stem: photo for photo in files_ending_in(folder, *SUFFIXES)}


def subfolders(root: Path) -> list[Path]:
    """Returns the folders in a folder, sorted, without hidden ones."""
    return [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def folders_with_xml(root: Path) -> list[Path]:
    """Returns the folders in a folder that hold photos and their XML together, as in Roboflow's VOC export."""
    return [folder for folder in subfolders(root) if files_ending_in(folder, ".xml") and photos_by_name(folder)]


class MissingSplitError(DataError):
    """A split that a data set does not have."""


def missing_split(root: Path | str, split: str, expected: str, known: Iterable[str]) -> MissingSplitError:
    """Returns the error about a split that a data set lacks.

    Args:
        root: The folder or the address of the data set.
        split: The split.
        expected: The file or folder that would hold it, below the root.
        known: The splits that the data set has.
    """
    found = ", ".join(sorted(set(known))) or "none"
    return MissingSplitError(
        f"cannot read the split '{split}' of {root}: there is no {expected}; splits found: {found}; check the folder "
        "and the name of the split"
    )


def find_layout(root: Path) -> Collection:
    """Returns the layout of a data set's folder, told by the files that only one layout has.

    At an address, and in a folder of tar files alone, data sets lie in shards.

    Raises:
        DataError: The folder is missing, or holds the files of no layout or of several.
    """
    if find_address(root) is not None:
        return Collection.shards
    require_folder(root)
    found = [collection for collection, is_there in _SIGNS.items() if any(is_there(root))]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(found)
        raise DataError(f"{root} holds the files of several layouts, {names}; name one of them with data.dataset")
    # archives that a data set came in may lie beside it, so they tell something only where there is nothing else
    if files_ending_in(root, ".tar"):
        return Collection.shards
    raise DataError(
        f"cannot tell the layout of {root}: it has neither annotations/instances_*.json nor */{ROBOFLOW_COCO_FILE} "
        "(coco), neither ImageSets/Main nor */*.xml (voc), neither data.yaml nor labels (yolo), nor *.tar "
        "(shards); "
        f"{suggest_other_folder(root) or 'check the folder'}"
    )


def suggest_other_folder(root: Path) -> str | None:
    """Returns advice to give another folder, where data sets lie in this one or the folder above is a data set.

    Args:
        root: A folder that cannot be read as a data set.
    """
    inside = []
    with suppress(OSError):
        inside = [folder.name for folder in subfolders(root) if _is_surely_data_set(folder)]
    if inside:
        where = f"its folder {inside[0]}" if len(inside) == 1 else f"its folders {first_ones(inside)}"
        advice = f"give {root / inside[0]}" if len(inside) == 1 else f"give one of these, such as {root / inside[0]}"
        return f"data sets seem to lie in {where}: {advice}"
    above = root.resolve().parent
    if _is_surely_data_set(above):
        return f"the folder above looks like a data set: give {above}"
    return None


def _is_surely_data_set(root: Path) -> bool:
    """Whether a folder has the files of a layout; a folder `labels` alone, without classes, is not enough."""
    # a folder that cannot be read is none that can be suggested
    with suppress(OSError, DataError):
        if any((root / name).is_file() for name in (*YOLO_DESCRIPTIONS, *YOLO_CLASS_LISTS)):
            return True
        return any(any(is_there(root)) for layout, is_there in _SIGNS.items() if layout != Collection.yolo)
    return False


def find_label_folder(root: Path) -> Path | None:
    """Returns the first folder `labels` in a folder or in its folders, by which YOLO's layout is known."""
    for folder in subfolders(root):
        if folder.name == "labels":
            return folder
        if (folder / "labels").is_dir():
            return folder / "labels"
    return None


def require_folder(root: Path) -> None:
    """Makes sure that the folder of a data set is there.

    Raises:
        DataError: There is no such folder.
    """
    if root.is_file():
        raise DataError(f"cannot read the data set {root}: it is a file; give the folder that holds it")
    if not root.is_dir():
        raise DataError(f"cannot read the data set {root}: there is no such folder; check the path")


def _signs_of_voc(root: Path) -> Iterator[bool]:
    yield (root / "ImageSets" / "Main").is_dir()
    yield bool(files_ending_in(root / "Annotations", ".xml"))
    yield bool(folders_with_xml(root))


def _signs_of_coco(root: Path) -> Iterator[bool]:
    yield any((root / "annotations").glob("instances_*.json"))
    yield any((folder / ROBOFLOW_COCO_FILE).is_file() for folder in subfolders(root))


def _signs_of_ilsvrc(root: Path) -> Iterator[bool]:
    yield (root / "ImageSets" / "DET").is_dir()
    yield (root / "Annotations" / "DET").is_dir()


def _signs_of_yolo(root: Path) -> Iterator[bool]:
    yield any((root / name).is_file() for name in YOLO_DESCRIPTIONS)
    yield find_label_folder(root) is not None


_SIGNS: dict[Collection, Callable[[Path], Iterator[bool]]] = {
    Collection.voc: _signs_of_voc,
    Collection.coco: _signs_of_coco,
    Collection.ilsvrc: _signs_of_ilsvrc,
    Collection.yolo: _signs_of_yolo,
}
"""The files and folders by which each layout is known, as truth values that are computed one by one."""
