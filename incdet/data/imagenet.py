"""ImageNet classification: the class list, and photos with their classes in the layouts that are in use."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from incdet.data.dataset import Warn, no_warning
from incdet.errors import DataError
from incdet.images import find_images
from incdet.runtime.text_files import read_text

SOLUTION = "LOC_val_solution.csv"
"""Name of the file with the classes of ILSVRC's val photos in its official download."""


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Photos of known classes.

    Attributes:
        paths: N files.
        class_ids: [N] int64, index into the class list.
    """

    paths: tuple[Path, ...]
    class_ids: np.ndarray


def find_labelled_photos(
    root: Path, classes: Sequence[str], labels: Path | None = None, warn: Warn = no_warning
) -> LabelledPhotos:
    """Finds all photos under a folder, with their classes.

    A photo's class comes from the list of labels where there is one. Otherwise it is the name of its folder, or the
    beginning of its own name up to an underscore (n01440764.jpg, n01440764_10026.JPEG).

    Args:
        root: The folder.
        classes: Names in the order of the class ids: WordNet ids for ImageNet.
        labels: Lines of "<file> <class>", the class being a name or a class id, or ILSVRC's LOC_val_solution.csv; None
            looks for the latter in the folder.
        warn: Function that takes a sentence about files that are passed over.

    Raises:
        ImageError: There are no photos.
        DataError: A photo's class is not known, or the list cannot be read.
    """
    ids = {name: index for index, name in enumerate(classes)}
    if labels is None and (root / SOLUTION).is_file():
        labels = root / SOLUTION
    listed = None if labels is None else _read_labels(labels, ids)
    photos = find_images([root], warn, warn)
    return LabelledPhotos(tuple(photos), np.array([_class_id(photo, ids, listed, labels) for photo in photos]))


def _class_id(photo: Path, ids: Mapping[str, int], listed: Mapping[str, int] | None, labels: Path | None) -> int:
    """Returns the class of a photo. See `find_labelled_photos`.

    Args:
        photo: The photo.
        ids: Class id by name.
        listed: Class id by photo stem, from the list of labels, or None.
        labels: The list, for the message.
    """
    if listed is not None:
        if photo.stem not in listed:
            raise DataError(f"{photo} is not in the list of labels {labels}; add it, or move the photo away")
        return listed[photo.stem]
    for name in (photo.parent.name, photo.stem.split("_")[0]):
        if name in ids:
            return ids[name]
    raise DataError(
        f"{photo}: neither its folder '{photo.parent.name}' nor '{photo.stem.split('_')[0]}' is one of the weights' "
        f"{len(ids)} classes; name folders or photos by their class, or give --labels"
    )


def _read_labels(file: Path, ids: Mapping[str, int]) -> dict[str, int]:
    """Returns the class id by the photo's stem."""
    text = read_text(file, "the list of labels", "check --labels")
    pairs = _pairs_of_solution(text) if text.startswith("ImageId,") else _pairs_of_lines(text)
    listed = {}
    for number, (photo, name) in enumerate(pairs, 1):
        if name not in ids and not (name.isdecimal() and int(name) < len(ids)):
            raise DataError(f"the list of labels {file}, entry {number}: '{name}' is none of {len(ids)} classes")
        listed[Path(photo).stem] = ids[name] if name in ids else int(name)
    return listed


def _pairs_of_solution(text: str) -> list[tuple[str, str]]:
    """Returns photo and class of every row of LOC_val_solution.csv; the class is "" where a row has none."""
    pairs = []
    for row in csv.DictReader(io.StringIO(text), restval=""):
        # the prediction string is "<wnid> <box>", once per object, all of one class
        words = (row.get("PredictionString") or "").split()
        pairs.append((row["ImageId"], words[0] if words else ""))
    return pairs


def _pairs_of_lines(text: str) -> list[tuple[str, str]]:
    """Returns photo and class of every line that is not blank."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return [(fields[0], fields[-1]) for fields in rows]


def read_synset_words(file: Path) -> list[tuple[str, str]]:
    """Returns WordNet id and names of every class, in the order of the network's columns.

    Raises:
        DataError: The file is missing, or a line is not '<wnid> <names>'.
    """
    lines = read_text(file, "the class list", "check the path").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2 or not pair[0].startswith("n"):
            raise DataError(
                f"the class list {file}, line {number}: expected '<wnid> <names>', found {' '.join(pair)!r}"
            )
    return [(wnid, words) for wnid, words in pairs]
