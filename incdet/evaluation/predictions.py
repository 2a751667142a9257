"""Stored detections of a data set -> `DetectionColumns`: ILSVRC's submission text, COCO's results, or incdet's lines.

Nothing that changes the number passes in silence: what cannot be meant is an error with its line, what can be meant
but does not count is counted in a warning.
"""

import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from incdet.data.dataset import Dataset, Warn
from incdet.errors import DataError, reason
from incdet.evaluation.columns import DetectionColumns, detection_columns
from incdet.output.writers import LARGEST_CORNER, read_detections
from incdet.runtime.files import GZIP_START, read_text

Reader = Callable[[Path, Dataset, Warn], DetectionColumns]

_FIELDS = 7
_FORM = "'<image index> <class id> <confidence> <xmin> <ymin> <xmax> <ymax>'"
_UNREADABLE = (OSError, UnicodeDecodeError, EOFError, zlib.error)
_ABSENT, _OTHER = -1, -2
"""Positions of image ids that nobody knows, and of those that the collection has but not the split."""


def read_predictions(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    """The detections of a file, in its order; its form is told by its first character, gzip by its first bytes.

    Args:
        file: submission text (0-based inclusive corners), COCO results JSON, or `detections.jsonl`.
        dataset: what they are detections of.
        warn: told how many detections lie on images that the split lacks, how many boxes are inverted, how many of
            its images have no line in a `detections.jsonl`, and when there is nothing at all.

    Raises:
        DataError: unreadable, malformed, a class or image that the collection lacks, a number that is not finite;
            names the line or entry.
    """
    readers: dict[str, Reader] = {"": _read_nothing, "[": _read_coco_results, "{": _read_lines}
    columns = readers.get(_first_character(file), _read_submission)(file, dataset, warn)
    if len(columns) == 0:
        warn(f"{file} holds no detections: every AP is 0")
    _count_inverted(columns, file, warn)
    return columns


def has_coco_results(file: Path) -> bool:
    """Whether a file of predictions holds COCO's results.

    Raises:
        DataError: it cannot be read.
    """
    return _first_character(file) == "["


def submission_text(columns: DetectionColumns, dataset: Dataset) -> str:
    """ILSVRC's submission text: a line per detection, 0-based inclusive corners; reads back to the same numbers.

    Args:
        columns: the detections.
        dataset: gives the images' indices and the classes' ids.
    """
    rows = zip(
        (dataset.image_ids[image] for image in columns.images.tolist()),
        (dataset.category_ids[class_id] for class_id in columns.class_ids.tolist()),
        map(_shortest, columns.scores.tolist()),
        (" ".join(map(_shortest, box)) for box in columns.boxes_inclusive.tolist()),
        strict=True,
    )
    return "".join(f"{image} {category} {score} {box}\n" for image, category, score, box in rows)


def _shortest(value: float) -> str:
    return repr(value).removesuffix(".0")


def _first_character(file: Path) -> str:
    try:
        with _open_text(file) as stream:
            for line in stream:
                if stripped := line.strip():
                    return stripped[0]
    except _UNREADABLE as error:
        raise DataError(f"cannot read the predictions {file}: {reason(error)}; check the path") from None
    return ""


def _open_text(file: Path) -> IO[str]:
    with file.open("rb") as stream:
        compressed = stream.read(2) == GZIP_START
    return gzip.open(file, "rt", encoding="utf-8") if compressed else file.open(encoding="utf-8")


def _read_nothing(_file: Path, _dataset: Dataset, _warn: Warn) -> DetectionColumns:
    return detection_columns([])


def _read_submission(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    if any(isinstance(image, str) for image in dataset.image_ids):
        raise DataError(
            f"{file} names images by number, but {dataset.name} has names; give COCO results or detections.jsonl"
        )
    table = _numbers(file)
    whole = table[:, :2] == np.floor(table[:, :2])
    _refuse(~whole.all(axis=1), file, table, "the image index and the class id must be whole numbers")
    _refuse(~np.isfinite(table).all(axis=1), file, table, "every number must be finite")
    far = np.abs(table[:, 3:]).max(axis=1, initial=0) > LARGEST_CORNER
    _refuse(far, file, table, "the corners must be pixels of an image")
    categories = f"{min(dataset.category_ids)}..{max(dataset.category_ids)}"
    lookup = {category: class_id for class_id, category in enumerate(dataset.category_ids)}
    class_ids = _looked_up(table[:, 1].tolist(), lookup)
    _refuse(class_ids == _ABSENT, file, table, f"the class id must be one of {categories}")
    numbers = [int(number) for number in table[:, 0].tolist()]
    images = _positions(numbers, dataset)
    if dataset.other_image_ids is not None:
        _refuse(images == _ABSENT, file, table, f"{dataset.name} belongs to a list that has no such image index")
    kept = _leave_out_strangers(images, numbers, file, dataset, warn)
    return DetectionColumns(images[kept], class_ids[kept], table[kept, 2].copy(), table[kept, 3:].copy())


def _numbers(file: Path) -> np.ndarray:
    """The file as [D, 7] float64."""
    try:
        with _open_text(file) as stream:
            table = np.loadtxt(stream, np.float64, comments=None, ndmin=2)
    except (ValueError, *_UNREADABLE) as error:
        _find_malformed_line(file)
        raise DataError(f"cannot read the predictions {file}: {reason(error)}; expected lines {_FORM}") from None
    if table.size and table.shape[1] != _FIELDS:
        _find_malformed_line(file)
    return table.reshape(-1, _FIELDS)


def _find_malformed_line(file: Path) -> None:
    """Raises DataError for the first line that is not seven numbers."""
    try:
        with _open_text(file) as stream:
            for number, line in enumerate(stream, 1):
                words = line.split()
                if words and not (len(words) == _FIELDS and all(map(_is_number, words))):
                    raise DataError(f"{file}, line {number}: expected {_FORM}, found {line.strip()[:80]!r}")
    except _UNREADABLE:
        return


def _is_number(word: str) -> bool:
    """As numpy reads numbers, which are Python's without underscores."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _refuse(wrong: np.ndarray, file: Path, table: np.ndarray, rule: str) -> None:
    """Raises DataError for the first row that breaks a rule."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = " ".join(f"{value:.12g}" for value in table[row])
        more = f" (and {int(wrong.sum()) - 1} more lines like it)" if wrong.sum() > 1 else ""
        raise DataError(f"{file}, line {_line_of_row(file, row)}: {rule}, found '{found}'{more}")


def _line_of_row(file: Path, row: int) -> int:
    """The number of the line that holds a row; blank lines hold none."""
    with _open_text(file) as stream:
        for number, line in enumerate(stream, 1):
            row -= bool(line.strip())
            if row < 0:
                return number
    raise ValueError(f"{file} has fewer rows than before")


def _looked_up(values: Iterable[Any], lookup: Mapping[Any, int]) -> np.ndarray:
    """Each value's entry, `_ABSENT` where it has none."""
    return np.array([lookup.get(value, _ABSENT) for value in values], np.int64)


def _positions(image_ids: Iterable[int | str], dataset: Dataset) -> np.ndarray:
    """Position in the split of each image id, or `_OTHER`, or `_ABSENT`; images may go by their names too."""
    lookup: dict[int | str, int] = dict.fromkeys(dataset.other_image_ids or (), _OTHER)
    lookup |= {truth.image: position for position, truth in enumerate(dataset.ground_truths)}
    return _looked_up(image_ids, lookup | {image: position for position, image in enumerate(dataset.image_ids)})


def _leave_out_strangers(
    positions: np.ndarray, image_ids: Sequence[int | str], file: Path, dataset: Dataset, warn: Warn
) -> np.ndarray:
    """Which detections lie on images of the split; the others are counted in a warning.

    Raises:
        DataError: none does, so the file belongs to something else.
    """
    inside = positions >= 0
    if not inside.all():
        strangers = list(dict.fromkeys(image_ids[row] for row in np.flatnonzero(~inside).tolist()))
        first = ", ".join(map(str, strangers[:3])) + (", ..." if len(strangers) > 3 else "")
        count = f"{int((~inside).sum()):,} of {len(inside):,} detections in {file}"
        where = f"{len(strangers):,} images that {dataset.name} lacks ({first})"
        if not inside.any():
            raise DataError(f"{count} are on {where}; check --split and --predictions")
        warn(f"{count} are on {where}: left out")
    return inside


def _count_inverted(columns: DetectionColumns, file: Path, warn: Warn) -> None:
    """An inverted box covers no pixel: it finds nothing and counts as false, as in the development kit."""
    boxes = columns.boxes_inclusive
    inverted = (boxes[:, 2:] - boxes[:, :2] + 1 <= 0).any(axis=1)
    if inverted.any():
        first = " ".join(f"{value:g}" for value in boxes[np.flatnonzero(inverted)[0]])
        warn(
            f"{int(inverted.sum()):,} boxes in {file} have their corners exchanged or no pixel (the first is xmin ymin "
            f"xmax ymax = {first}): they count as false detections"
        )


def _read_coco_results(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    try:
        entries = json.loads(read_text(file, "the predictions", "check the path"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON: {reason(error)}; expected a list of COCO results") from None
    categories = {category: class_id for class_id, category in enumerate(dataset.category_ids)}
    image_ids, class_ids, numbers = [], [], []
    for number, entry in enumerate(entries, 1):
        try:
            image_ids.append(_image_id(entry))
            class_ids.append(categories[entry["category_id"]])
            numbers.append(_score_and_corners(entry))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            problem = f"{error} is missing or unknown" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{file}, entry {number}: {problem}; expected image_id, category_id of the data set, bbox [x, y, "
                "width, height] and score"
            ) from None
    table = np.array(numbers, np.float64).reshape(-1, 5)
    images = _positions(image_ids, dataset)
    if dataset.other_image_ids is not None and (images == _ABSENT).any():
        row = int(np.flatnonzero(images == _ABSENT)[0])
        problem = f"{dataset.name} belongs to a list that has no image {image_ids[row]!r}"
        raise DataError(f"{file}, entry {row + 1}: {problem}")
    kept = _leave_out_strangers(images, image_ids, file, dataset, warn)
    columns = images[kept], np.array(class_ids, np.int64)[kept], table[kept, 0].copy(), table[kept, 1:].copy()
    return DetectionColumns(*columns)


def _image_id(entry: Mapping[str, Any]) -> int | str:
    if isinstance(entry["image_id"], bool) or not isinstance(entry["image_id"], int | str):
        raise TypeError("image_id is neither a number nor a name")
    return entry["image_id"]


def _score_and_corners(entry: Mapping[str, Any]) -> tuple[float, ...]:
    """(score, xmin, ymin, xmax, ymax), inclusive."""
    if not isinstance(entry["bbox"], list):
        raise TypeError("bbox is no list")
    x, y, width, height = map(float, entry["bbox"])
    values = float(entry["score"]), x, y, x + width - 1, y + height - 1
    if not all(map(math.isfinite, values)):
        raise ValueError("every number must be finite")
    if max(map(abs, values[1:])) > LARGEST_CORNER:
        raise ValueError("the corners must be pixels of an image")
    return values


def _read_lines(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    found = read_detections(file, dataset.class_names)
    positions = {truth.image: position for position, truth in enumerate(dataset.ground_truths)}
    # the name of a photo, or its file's; a dot may be part of either
    names = [entry.image if entry.image in positions else Path(entry.image).stem for entry in found]
    if twice := _first_repeated(names):
        raise DataError(f"{file} has two lines for the image {twice}; expected one per image")
    images = [positions.get(name, _ABSENT) for name in names]
    counts = [len(entry) for entry in found]
    of_detections = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    _leave_out_strangers(np.repeat(images, counts), of_detections, file, dataset, warn)
    kept = [row for row, image in enumerate(images) if image >= 0]
    if missing := len(dataset) - len(kept):
        first = next(truth.image for truth in dataset.ground_truths if truth.image not in set(names))
        warn(f"{missing:,} of {len(dataset):,} images have no line in {file} ({first}, ...): nothing is found there")
    truths = [dataset.ground_truths[images[row]] for row in kept]
    rescaled = [found[row].rescaled(truth.width, truth.height) for row, truth in zip(kept, truths, strict=True)]
    return detection_columns(rescaled, [images[row] for row in kept])


def _first_repeated(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
