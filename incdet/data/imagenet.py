"""ImageNet classification: the class list, and photos with their classes in the layouts that are in use."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from incdet.data.dataset import Warn, no_warning
from incdet.errors import DataError, reason
from incdet.images import find_images
from incdet.runtime.text_files import is_whole_number, read_text

SOLUTION = "LOC_val_solution.csv"
"""Name of the file with the classes of ILSVRC's val photos in its official download."""


_MAX_NAME_WORDS = 40
"""Largest number of words of a class name in a list of labels."""


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
    listed = None if labels is None else ListedClasses(labels, ids)
    photos = find_images([root], warn, warn)
    return LabelledPhotos(tuple(photos), np.array([_class_id(photo, ids, listed) for photo in photos]))


def _class_id(photo: Path, ids: Mapping[str, int], listed: "ListedClasses | None") -> int:
    """Returns the class of a photo. See `find_labelled_photos`.

    Args:
        photo: The photo.
        ids: Class id by name.
        listed: The list of labels, or None.
    """
    if listed is not None:
        return listed.class_of(photo)
    for name in (photo.parent.name, photo.stem.split("_")[0]):
        if name in ids:
            return ids[name]
    raise DataError(
        f"{photo}: neither its folder '{photo.parent.name}' nor '{photo.stem.split('_')[0]}' is one of the weights' "
        f"{len(ids)} classes; name folders or photos by their class, or give --labels"
    )


class ListedClasses:
    """The classes of photos in a list of labels, by the photos' paths without their endings.

    Args:
        file: The list.
        ids: Class id by name.

    Raises:
        DataError: The list cannot be read, an entry has no known class, or a photo has two.
    """

    def __init__(self, file: Path, ids: Mapping[str, int]) -> None:
        self._file = file
        text = read_text(file, "the list of labels", "check --labels")
        pairs = self._pairs_of_solution(text) if text.startswith("ImageId,") else _pairs_of_lines(text, ids)
        self._by_path: dict[str, int] = {}
        self._by_stem: dict[str, set[int]] = {}
        for number, (photo, name) in enumerate(pairs, 1):
            if name not in ids and not (is_whole_number(name) and int(name) < len(ids)):
                raise DataError(f"the list of labels {file}, entry {number}: {name!r} is none of {len(ids)} classes")
            class_id = ids[name] if name in ids else int(name)
            path = PurePosixPath(photo.replace("\\", "/"))
            key = str(path.with_suffix("")) if path.name else photo
            if self._by_path.setdefault(key, class_id) != class_id:
                raise DataError(f"the list of labels {file} gives {photo!r} two classes; correct one of them")
            self._by_stem.setdefault(path.stem, set()).add(class_id)

    def _pairs_of_solution(self, text: str) -> list[tuple[str, str]]:
        """Returns photo and class of every row of LOC_val_solution.csv; the class is "" where a row has none."""
        pairs = []
        try:
            for row in csv.DictReader(io.StringIO(text), restval=""):
                # the prediction string is "<wnid> <box>", once per object, all of one class
                words = (row.get("PredictionString") or "").split()
                pairs.append((row["ImageId"], words[0] if words else ""))
        except csv.Error as error:
            raise DataError(f"the list of labels {self._file} is no CSV: {reason(error)}; get a whole copy") from None
        return pairs

    def class_of(self, photo: Path) -> int:
        """Returns the class of a photo: the longest end of its path that is listed decides, or else its name.

        Raises:
            DataError: The photo is not listed, or its name alone is, with several classes.
        """
        parts = photo.with_suffix("").parts
        for start in range(len(parts)):
            class_id = self._by_path.get("/".join(parts[start:]))
            if class_id is not None:
                return class_id
        found = self._by_stem.get(photo.stem, set())
        if len(found) > 1:
            raise DataError(
                f"the list of labels {self._file} has photos called {photo.stem} of several classes, and none in the "
                f"folder of {photo}; write their folders into the list"
            )
        if not found:
            raise DataError(f"{photo} is not in the list of labels {self._file}; add it, or move the photo away")
        return next(iter(found))


def _pairs_of_lines(text: str, ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """Returns photo and class of every line that is not blank; names of photos and of classes may hold spaces."""
    pairs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        words = line.split()
        # the longest end of the line that is a class, or else the last word
        ends = [
            start for start in range(max(1, len(words) - _MAX_NAME_WORDS), len(words)) if " ".join(words[start:]) in ids
        ]
        start = ends[0] if ends else max(len(words) - 1, 0)
        photo = " ".join(words[:start]) if start else words[0]
        pairs.append((photo, " ".join(words[start:])))
    return pairs


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
