"""Stored detections of a data set: ILSVRC's submission text, COCO's results, or incdet's own lines.

Nothing that changes the evaluation passes in silence. An entry that can have no meaning is an error with its line, and
entries that have a meaning but do not count are counted in a warning.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath

import numpy as np

from incdet.data.dataset import Dataset, Warn
from incdet.data.photo_frame import fit_to_annotation
from incdet.errors import DataError, ImageError, reason
from incdet.evaluation.coco_documents import read_coco_results
from incdet.evaluation.columns import DetectionColumns, detection_columns
from incdet.evaluation.split_images import leave_out_other_images, look_up
from incdet.evaluation.submission import read_submission
from incdet.output.writers import read_detections
from incdet.runtime.counted_words import counted, of_all
from incdet.runtime.text_files import UNREADABLE, open_text

Reader = Callable[[Path, Dataset, Warn], DetectionColumns]


def read_predictions(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    """Reads the detections of a file, in its order. The first character tells its form, the first bytes tell gzip.

    Args:
        file: Submission text (0-based inclusive corners), COCO results JSON, or `detections.jsonl`.
        dataset: The data set of the detections.
        warn: Function that is told how many detections lie on images that the split lacks, how many boxes are
            inverted, how many images have no line in a `detections.jsonl`, and that a file is empty.

    Raises:
        DataError: The file is unreadable or malformed, has a class or image that the collection lacks, or a number that
            is not finite; the message names the line or entry.
    """
    readers: dict[str, Reader] = {"": _read_nothing, "[": read_coco_results, "{": _read_lines}
    reader = readers.get(_first_character(file), read_submission)
    columns = reader(file, dataset, warn)
    if len(columns) == 0:
        warn(f"{file} holds no detections: every AP is 0")
    _warn_of_inverted_boxes(columns, file, warn)
    return columns


def has_coco_results(file: Path) -> bool:
    """Whether a file of predictions holds COCO's results.

    Raises:
        DataError: The file cannot be read.
    """
    return _first_character(file) == "["


def _first_character(file: Path) -> str:
    """Returns the first character that is no white space, or "" where there is none."""
    try:
        with open_text(file) as stream:
            for line in stream:
                if stripped := line.strip():
                    return stripped[0]
    except UNREADABLE as error:
        raise DataError(f"cannot read the predictions {file}: {reason(error)}; check the path") from None
    return ""


def _read_nothing(_file: Path, _dataset: Dataset, _warn: Warn) -> DetectionColumns:
    return detection_columns([])


def _read_lines(file: Path, dataset: Dataset, warn: Warn) -> DetectionColumns:
    """Reads incdet's own `detections.jsonl`, one image a line."""
    found = read_detections(file, dataset.class_names)
    positions = {truth.image: position for position, truth in enumerate(dataset.ground_truths)}
    names = [_name_in(positions, entry.image) for entry in found]
    # images that the data set does not know may share the name of their file
    if twice := _first_repeated(name for name in names if name in positions):
        raise DataError(f"{file} has two lines for the image {twice}; expected one per image")
    images = look_up(names, positions)
    # the warning about other images counts detections, not lines
    counts = [len(entry) for entry in found]
    names_of_detections = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    leave_out_other_images(np.repeat(images, counts), names_of_detections, file, dataset, warn)
    kept = np.flatnonzero(images >= 0).tolist()
    if num_missing := len(dataset) - len(kept):
        known = set(names)
        first = next(truth.image for truth in dataset.ground_truths if truth.image not in known)
        warn(
            f"{of_all(num_missing, len(dataset), 'image')} {'has' if num_missing == 1 else 'have'} no line in {file} "
            f"({first}{', ...' if num_missing > 1 else ''}): nothing is found there"
        )
    # annotations may state another size than the photo that was detected in
    rescaled = []
    for row in kept:
        truth, path = dataset.ground_truths[images[row]], dataset.image_paths[images[row]]
        try:
            rescaled.append(fit_to_annotation(found[row], truth, path))
        except ImageError as error:
            raise DataError(f"{file}, image {found[row].image}: {error}") from None
    return detection_columns(rescaled, images[kept])


def _name_in(positions: Mapping[str, int], image: str) -> str:
    """Returns the name by which a data set knows the image of a line, its stem where it does not know it.

    The longest end of the path decides, with its ending or without: photos in different folders may share a name.
    """
    if image in positions:
        return image
    parts = PurePath(image).parts
    for start in range(len(parts)):
        end = PurePath(*parts[start:])
        if not end.name:
            continue
        for name in (str(end), str(end.with_suffix(""))):
            if name in positions:
                return name
    return Path(image).stem


def _first_repeated(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _warn_of_inverted_boxes(columns: DetectionColumns, file: Path, warn: Warn) -> None:
    """Warns of boxes that cover no pixel: they find nothing and count as false, as in the development kit."""
    boxes = columns.boxes_inclusive
    inverted = (boxes[:, 2:] - boxes[:, :2] + 1 <= 0).any(axis=1)
    if inverted.any():
        first = " ".join(f"{value:g}" for value in boxes[np.flatnonzero(inverted)[0]])
        warn(
            f"{counted(int(inverted.sum()), 'box', 'boxes')} in {file} without a pixel or with corners exchanged (the "
            f"first is xmin ymin xmax ymax = {first}): false detections"
        )
