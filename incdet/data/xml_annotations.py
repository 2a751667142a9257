"""The annotation XML that PASCAL VOC and ILSVRC DET share, and lists of image names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from incdet.errors import DataError, reason
from incdet.runtime.files import read_text
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
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"the annotation {file} is not valid XML: {error}; get a whole copy") from None
    width, height = (int(_number(root, f"size/{side}", file)) for side in ("width", "height"))
    boxes, ids, ignored, unknown = [], [], [], []
    for element in root.iter("object"):
        name = (element.findtext("name") or "").strip()
        if name not in class_ids:
            unknown.append(name)
            continue
        boxes.append(_box(element, name, file, convention))
        ids.append(class_ids[name])
        ignored.append((element.findtext("difficult") or "0").strip() == "1")
    truth = GroundTruth(
        image=file.stem,
        width=width,
        height=height,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(ids, np.int64),
        ignored=np.array(ignored, np.bool_),
    )
    return truth, unknown


def _box(element: ElementTree.Element, name: str, file: Path, convention: BoxConvention) -> list[float]:
    """Returns a half-open box [x1, y1, x2, y2]; ILSVRC writes the elements in another order than VOC."""
    corners = {key: _number(element, f"bndbox/{key}", file) for key in ("xmin", "ymin", "xmax", "ymax")}
    low = [corners["xmin"] + convention.low, corners["ymin"] + convention.low]
    high = [corners["xmax"] + convention.high, corners["ymax"] + convention.high]
    if high[0] < low[0] or high[1] < low[1]:
        raise DataError(f"the annotation {file} has a box of '{name}' with its corners exchanged: {corners}")
    return low + high


def read_image_list(file: Path) -> list[tuple[str, int | None]]:
    """Returns name and number of every line of an image list, in order; the number is None where a line has none.

    Raises:
        DataError: The file is missing or empty, or lists an image twice.
    """
    text = read_text(file, "the image list", "check --root and --split")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if not rows:
        raise DataError(f"the image list {file} is empty; check --split")
    entries: list[tuple[str, int | None]] = []
    seen: set[str] = set()
    for row in rows:
        name = row[0]
        if name in seen:
            raise DataError(f"the image list {file} names {name} twice; remove the second line")
        seen.add(name)
        has_number = len(row) > 1 and row[1].isdecimal()
        entries.append((name, int(row[1]) if has_number else None))
    return entries


def _number(element: ElementTree.Element, path: str, file: Path) -> float:
    """Returns the number of pixels at a path below an element.

    Raises:
        DataError: The element is missing or holds no number that could be a place in an image.
    """
    text = element.findtext(path)
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    # the comparison is false for NaN, too
    if not abs(number) <= LARGEST_COORDINATE:
        raise DataError(f"the annotation {file} has no number of pixels in <{path}> (found {text!r}); correct the file")
    return number
