"""ILSVRC DET: `Annotations/DET/val/*.xml`, `ImageSets/DET/<split>.txt`, `Data/DET/val/*.JPEG`, and the class map.

The class map is `devkit/data/map_det.txt`.
"""

from pathlib import Path

from incdet.data.dataset import Dataset
from incdet.data.xml_annotations import ILSVRC_BOXES, read_annotation, read_image_names
from incdet.errors import DataError
from incdet.storage import read_text

_PHOTO_FOLDERS = ("Data/DET", "ILSVRC2013_DET_{part}", "ILSVRC2014_DET_{part}")
_ANNOTATION_FOLDERS = ("Annotations/DET/{part}", "ILSVRC2013_DET_bbox_{part}", "ILSVRC2014_DET_bbox_{part}")


def read_ilsvrc(root: Path | str, split: str) -> Dataset:
    """A split (val, val1, val2, train) of the detection task; the 2013 and 2014 folder names work too.

    Photos are optional: annotations alone can be evaluated against stored predictions.

    Raises:
        DataError: the class map, the split or an annotation is missing or malformed.
    """
    root = Path(root)
    wordnet_ids, class_names = read_class_map(root / "devkit" / "data" / "map_det.txt")
    class_ids = {wordnet_id: index for index, wordnet_id in enumerate(wordnet_ids)}
    names = read_image_names(root / "ImageSets" / "DET" / f"{split}.txt")
    part = "train" if split.startswith("train") else "val"
    annotations = _first_folder(root, [folder.format(part=part) for folder in _ANNOTATION_FOLDERS])
    photos = _photo_folder(root, part)
    truths = tuple(read_annotation(annotations / f"{name}.xml", class_ids, ILSVRC_BOXES) for name in names)
    return Dataset(
        f"{root.resolve().name} {split}", class_names, tuple(photos / f"{name}.JPEG" for name in names), truths
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


def _first_folder(root: Path, candidates: list[str]) -> Path:
    for candidate in candidates:
        if (root / candidate).is_dir():
            return root / candidate
    raise DataError(f"found no annotations under {root}; expected one of the folders {', '.join(candidates)}")


def _photo_folder(root: Path, part: str) -> Path:
    folders = [root / folder.format(part=part) for folder in _PHOTO_FOLDERS]
    folders[0] /= part
    return next((folder for folder in folders if folder.is_dir()), folders[0])
