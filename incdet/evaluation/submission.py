"""ILSVRC's submission text: a line per detection, seven numbers, 0-based inclusive corners.

A line is `<image index> <class id> <confidence> <xmin> <ymin> <xmax> <ymax>`. The index is the image's line in val.txt,
not the number in its file name. The class id, 1 to 200, is the place in the kit's `meta_det`, not in the order of
WordNet ids.
"""

from pathlib import Path

import numpy as np

from incdet.data.dataset import Dataset, Warn
from incdet.errors import DataError, reason
from incdet.evaluation.columns import DetectionColumns
from incdet.evaluation.split_images import ABSENT, image_positions, leave_out_other_images, look_up
from incdet.ops.decimals import shortest_text
from incdet.runtime.text_files import UNREADABLE, open_text
from incdet.structures import LARGEST_COORDINATE

_NUM_FIELDS = 7
_FORM = "'<image index> <class id> <confidence> <xmin> <ymin> <xmax> <ymax>'"


def submission_text(columns: DetectionColumns, dataset: Dataset) -> str:
    """Returns detections as submission text, which reads back to the same numbers.

    Args:
        columns: The detections.
        dataset: Their data set, for the images' indices and the classes' ids.
    """
    lines = []
    # lists of Python's numbers are printed much faster than NumPy's
    for image, class_id, score, box in zip(
        columns.images.tolist(),
        columns.class_ids.tolist(),
        columns.scores.tolist(),
        columns.boxes_inclusive.tolist(),
        strict=True,
    ):
        corners = " ".join(map(shortest_text, box))
        index, category = dataset.image_ids[image], dataset.category_ids[class_id]
        lines.append(f"{index} {category} {shortest_text(score)} {corners}\n")
    return "".join(lines)


def read_submission(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    """Reads submission text. See `incdet.evaluation.predictions.read_predictions`."""
    if any(isinstance(image, str) for image in dataset.image_ids):
        raise DataError(
            f"{file} names images by number, but {dataset.name} has names; give COCO results or detections.jsonl"
        )
    table = _numbers(file)
    # the checks run on whole columns, because a submission may have millions of lines
    whole = table[:, :2] == np.floor(table[:, :2])
    _refuse(~whole.all(axis=1), file, table, "the image index and the class id must be whole numbers")
    _refuse(~np.isfinite(table).all(axis=1), file, table, "every number must be finite")
    far = np.abs(table[:, 3:]).max(axis=1, initial=0) > LARGEST_COORDINATE
    _refuse(far, file, table, "the corners must be pixels of an image")
    class_ids_of = {category: class_id for class_id, category in enumerate(dataset.category_ids)}
    class_ids = look_up(table[:, 1].tolist(), class_ids_of)
    categories = f"{min(dataset.category_ids)}..{max(dataset.category_ids)}"
    _refuse(class_ids == ABSENT, file, table, f"the class id must be one of {categories}")
    indices = [int(index) for index in table[:, 0].tolist()]
    images = image_positions(indices, dataset)
    if dataset.other_image_ids is not None:
        _refuse(images == ABSENT, file, table, f"{dataset.name} belongs to a list that has no such image index")
    kept = leave_out_other_images(images, indices, file, dataset, warn)
    # copies, so that the columns do not keep the whole table in memory
    return DetectionColumns(images[kept], class_ids[kept], table[kept, 2].copy(), table[kept, 3:].copy())


def _numbers(file: Path) -> np.ndarray:
    """Returns the numbers of the file as [D, 7] float64."""
    try:
        with open_text(file) as stream:
            table = np.loadtxt(stream, np.float64, comments=None, ndmin=2)
    except (ValueError, *UNREADABLE) as error:
        # NumPy's message has no line of the file, so the line is searched for
        _find_malformed_line(file)
        raise DataError(f"cannot read the predictions {file}: {reason(error)}; expected lines {_FORM}") from None
    if table.size and table.shape[1] != _NUM_FIELDS:
        _find_malformed_line(file)
    return table.reshape(-1, _NUM_FIELDS)


def _find_malformed_line(file: Path) -> None:
    """Raises DataError for the first line that does not consist of seven numbers."""
    try:
        with open_text(file) as stream:
            for number, line in enumerate(stream, 1):
                words = line.split()
                if words and not (len(words) == _NUM_FIELDS and all(map(_is_number, words))):
                    raise DataError(f"{file}, line {number}: expected {_FORM}, found {line.strip()[:80]!r}")
    except UNREADABLE:
        return


def _is_number(word: str) -> bool:
    """Whether NumPy reads the word as a number: it takes Python's numbers without underscores."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _refuse(wrong: np.ndarray, file: Path, table: np.ndarray, rule: str) -> None:
    """Raises DataError for the first row that breaks a rule.

    Args:
        wrong: [D] bool, whether the row breaks the rule.
        file: The file.
        table: [D, 7] float64, the numbers of the file.
        rule: The rule, for the message.
    """
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = " ".join(f"{value:.12g}" for value in table[row])
        more = f" (and {int(wrong.sum()) - 1} more lines like it)" if wrong.sum() > 1 else ""
        raise DataError(f"{file}, line {_line_of_row(file, row)}: {rule}, found '{found}'{more}")


def _line_of_row(file: Path, row: int) -> int:
    """Returns the number of the line that holds a row; blank lines hold none."""
    with open_text(file) as stream:
        for number, line in enumerate(stream, 1):
            row -= bool(line.strip())
            if row < 0:
                return number
    raise ValueError(f"{file} has fewer rows than before")
