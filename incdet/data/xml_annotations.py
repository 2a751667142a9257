"""The annotation XML that PASCAL VOC and ILSVRC DET share, and lists of image names."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from incdet.data.file_names import is_ordinary, is_possible, stays_inside
from incdet.errors import DataError, reason
from incdet.runtime.text_files import is_whole_number, read_text
from incdet.structures import LARGEST_COORDINATE, GroundTruth


@dataclass(frozen=True)
class BoxConvention:
    """The form of a collection's boxes, as the numbers that make them half-open and 0-based.

    Attributes:
        low: Number that is added to xmin and ymin.
        high: Number that is added to xmax and ymax.
    """

    low: int
    high: int


VOC_BOXES = BoxConvention(low=-1, high=0)
"""VOC counts pixels from 1, and the last pixel belongs to the box."""

ILSVRC_BOXES = BoxConvention(low=0, high=1)
"""ILSVRC DET counts pixels from 0, and the last pixel belongs to the box: xmax never equals the width."""


def read_annotation(file: Path, class_ids: Mapping[str, int], convention: BoxConvention) -> GroundTruth:
    """Reads one annotation file.

    Args:
        file: The file.
        class_ids: Class id by class name. Objects of other classes are left out.
        convention: The form of the boxes.

    Raises:
        DataError: The file is missing, not XML, or lacks size or box numbers; the message names file and element.
    """
    truth, _ = parse_annotation(read_content(file), file, class_ids, convention)
    return truth


def read_content(file: Path) -> bytes:
    """Returns the bytes of an annotation file.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the annotation {file}: {reason(error)}; check --root") from None


def parse_annotation(
    content: bytes, file: Path, class_ids: Mapping[str, int], convention: BoxConvention
) -> tuple[GroundTruth, list[str]]:
    """Parses one annotation.

    Args:
        content: The XML.
        file: Its file, for the image's name and for messages.
        class_ids: Class id by class name. Objects of other classes are left out.
        convention: The form of the boxes.

    Returns:
        The objects, and the class names of the objects that were left out.

    Raises:
        DataError: The content is not XML, or lacks size or box numbers; the message names file and element.
    """
    try:
        root = ElementTree.fromstring(content)
    except Exception as error:  # an encoding that Python does not know, or knows but not for text, can raise anything
        raise DataError(f"the annotation {file} is not valid XML: {reason(error)}; get a whole copy in UTF-8") from None
    width, height = (_side(root, side, file) for side in ("width", "height"))
    boxes, ids, ignored, unknown = [], [], [], []
    num_impossible = 0
    for element in root.iter("object"):
        name = (element.findtext("name") or "").strip()
        if name not in class_ids:
            unknown.append(name)
            continue
        box = _box(element, file, convention)
        is_ignored = _flag(element, "difficult", file)
        if box is None:
            num_impossible += 1
            continue
        boxes.append(box)
        ids.append(class_ids[name])
        ignored.append(is_ignored)
    truth = GroundTruth(
        image=file.stem,
        width=width,
        height=height,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(ids, np.int64),
        ignored=np.array(ignored, np.bool_),
        num_impossible=num_impossible,
    )
    return truth, unknown


def _box(element: ElementTree.Element, file: Path, convention: BoxConvention) -> list[float] | None:
    """Returns a half-open box [x1, y1, x2, y2]; ILSVRC writes the elements in another order than VOC.

    None stands for an impossible box: its corners are exchanged, or they are no place in any image.
    """
    corners = [_number(element, f"bndbox/{key}", file) for key in ("xmin", "ymin", "xmax", "ymax")]
    # the comparison is false for NaN, too
    if not all(abs(corner) <= LARGEST_COORDINATE for corner in corners):
        return None
    low = [corners[0] + convention.low, corners[1] + convention.low]
    high = [corners[2] + convention.high, corners[3] + convention.high]
    return None if high[0] < low[0] or high[1] < low[1] else low + high


_FLAGS = {
    **dict.fromkeys(("", "0", "0.0", "false", "no", "f", "n"), False),
    **dict.fromkeys(("1", "1.0", "true", "yes", "t", "y"), True),
}
"""The spellings of flags, in lower case."""


def _flag(element: ElementTree.Element, name: str, file: Path) -> bool:
    """Returns a flag of an object; programs spell it in different ways, and a missing one is not set.

    Raises:
        DataError: The element holds something else.
    """
    text = (element.findtext(name) or "").strip()
    value = _FLAGS.get(text.lower())
    if value is None:
        raise DataError(f"the annotation {file} has {text[:60]!r} in <{name}>; expected 0 or 1")
    return value


def read_image_list(file: Path, known: Callable[[str], bool] | None = None) -> list[tuple[str, int | None]]:
    """Returns name and number of every line of an image list, in order; the number is None where a line has none.

    A line is a name, or a name and a number in the official lists. A name may hold spaces, and its last word may be a
    number, so the images that exist decide.

    Args:
        file: The list.
        known: Function that says whether there is an image of a name; None takes a second word, if it is a number, for
            a number, and longer lines for names.

    Raises:
        DataError: The file is missing or empty, lists an image twice, or names one outside the data set's folder.
    """
    text = read_text(file, "the image list", "check --root and --split")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"the image list {file} is empty; check --split")
    entries: list[tuple[str, int | None]] = []
    seen: set[str] = set()
    for line in lines:
        name, number = _name_and_number(line, known)
        if name in seen:
            raise DataError(f"the image list {file} names {name!r} twice; remove the second line")
        if not is_ordinary(name):
            _require_file_name(name, file)
        seen.add(name)
        entries.append((name, number))
    return entries


def _require_file_name(name: str, file: Path) -> None:
    """Raises DataError for a name in a list that no file can have, or that leads out of the data set."""
    if not is_possible(f"{name}.xml"):
        raise DataError(f"the image list {file} names {name[:60]!r}, which no file can have; correct the line")
    if not stays_inside(name):
        raise DataError(f"the image list {file} names {name!r}, which leads out of the data set; correct the line")


def _name_and_number(line: str, known: Callable[[str], bool] | None) -> tuple[str, int | None]:
    """Returns the name of a line and the index behind it; a flag such as -1 is no index."""
    words = line.rsplit(maxsplit=1)
    digits = words[-1].removeprefix("-")
    if len(words) == 1 or not is_whole_number(digits):
        return line, None
    name = words[0].rstrip()
    is_one_word = len(name.split(maxsplit=1)) == 1
    # the official form unless the file of the whole line exists; where neither exists, names are short
    is_official = is_one_word if known is None else not known(line) and (is_one_word or known(name))
    if not is_official:
        return line, None
    return name, int(digits) if digits == words[-1] else None


def names_of_annotations(folder: Path) -> Callable[[str], bool]:
    """Returns a function that says whether a folder holds the annotation of an image name."""
    try:
        # listing a folder once is much faster than asking for every file
        names = {entry.name for entry in os.scandir(folder)}
    except OSError:
        names = set()

    def is_known(name: str) -> bool:
        return f"{name}.xml" in names or ("/" in name and (folder / f"{name}.xml").is_file())

    return is_known


def _side(root: ElementTree.Element, side: str, file: Path) -> int:
    """Returns the width or the height of the image in whole pixels; 0 states none."""
    number = _number(root, f"size/{side}", file)
    if not 0 <= number <= LARGEST_COORDINATE:
        raise DataError(f"the annotation {file} has the {side} {number:g}; expected a number of pixels")
    return int(number)


def _number(element: ElementTree.Element, path: str, file: Path) -> float:
    """Returns the number at a path below an element, which may be NaN or infinite.

    Raises:
        DataError: The element is missing or holds no number.
    """
    text = element.findtext(path)
    try:
        return float(text or "")
    except ValueError:
        found = "nothing" if text is None else repr(text[:60])
        raise DataError(
            f"the annotation {file} has no number of pixels in <{path}> (found {found}); correct the file"
        ) from None
