"""The annotation XML that PASCAL VOC and ILSVRC DET share, and lists of image names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from incdet.errors import DataError, reason
from incdet.runtime.files import read_text
from incdet.structures import GroundTruth


@dataclass(frozen=True)
class BoxConvention:
    """How a collection writes boxes: what must be added to (xmin, ymin) and (xmax, ymax) to get half-open 0-based."""

    low: int
    high: int


VOC_BOXES = BoxConvention(low=-1, high=0)
"""1-based inclusive."""

ILSVRC_BOXES = BoxConvention(low=0, high=1)
"""0-based inclusive (FACTS, section 5.8)."""

_LARGEST_NUMBER = 1e9
"""In pixels; beyond it a number is no place in an image."""


def read_annotation(file: Path, class_ids: Mapping[str, int], convention: BoxConvention) -> GroundTruth:
    """One annotation file; objects of classes that are not asked for are left out.

    Raises:
        DataError: missing, not XML, or without size or box numbers; names the file and the element.
    """
    return parse_annotation(read_content(file), file, class_ids, convention)[0]


def read_content(file: Path) -> bytes:
    """The bytes of an annotation file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the annotation {file}: {reason(error)}; check --root") from None


def parse_annotation(
    content: bytes, file: Path, class_ids: Mapping[str, int], convention: BoxConvention
) -> tuple[GroundTruth, list[str]]:
    """(the objects, the class names of objects left out because nobody asked for their class).

    Raises:
        DataError: not XML, or without size or box numbers; names the file and the element.
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
    corners = {key: _number(element, f"bndbox/{key}", file) for key in ("xmin", "ymin", "xmax", "ymax")}
    low = [corners["xmin"] + convention.low, corners["ymin"] + convention.low]
    high = [corners["xmax"] + convention.high, corners["ymax"] + convention.high]
    if high[0] < low[0] or high[1] < low[1]:
        raise DataError(f"the annotation {file} has a box of '{name}' with its corners exchanged: {corners}")
    return low + high


def read_image_list(file: Path) -> list[tuple[str, int | None]]:
    """(name, number) of every line of an image set file, in order; the number is None where a line has none.

    Raises:
        DataError: missing, empty, or an image is listed twice.
    """
    text = read_text(file, "the image list", "check --root and --split")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if not rows:
        raise DataError(f"the image list {file} is empty; check --split")
    entries = [(row[0], int(row[1]) if len(row) > 1 and row[1].isdecimal() else None) for row in rows]
    if len({name for name, _ in entries}) < len(entries):
        seen: set[str] = set()
        twice = next(name for name, _ in entries if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DataError(f"the image list {file} names {twice} twice; remove the second line")
    return entries


def _number(element: ElementTree.Element, path: str, file: Path) -> float:
    text = element.findtext(path)
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not abs(number) <= _LARGEST_NUMBER:  # false for NaN too
        raise DataError(f"the annotation {file} has no number of pixels in <{path}> (found {text!r}); correct the file")
    return number
