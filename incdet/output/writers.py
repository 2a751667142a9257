"""Detections, proposals and classifications as JSON, COCO, CSV and VOC XML, and the reader of incdet's own JSON."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import numpy as np

from incdet.detections import Detections
from incdet.errors import DataError
from incdet.ops.boxes import box_areas
from incdet.ops.decimals import shortest_decimals
from incdet.output.result_lines import parse_line
from incdet.runtime.counted_words import first_ones
from incdet.runtime.text_files import read_text
from incdet.runtime.visible_text import table_cell
from incdet.structures import LARGEST_COORDINATE, Classification, Image, Proposals

Value = TypeVar("Value", str, int, list[Any])

_KINDS: dict[type, str] = {str: "text", int: "a whole number", list: "a list"}
"""Names of the kinds of values of a line."""

CSV_HEADER = ("image", "label", "class_id", "score", "x1", "y1", "x2", "y2")


def detections_json(detections: Detections, timing: bool = False) -> dict[str, Any]:
    """Returns the line of `detections.jsonl` for one image.

    Args:
        detections: The detections of the image.
        timing: Whether to add the seconds of each stage. Without them equal runs give equal files.
    """
    line = detections.to_dict()
    return line | {"seconds": _rounded(detections.seconds)} if timing else line


def best_below(detections: Detections, display_threshold: float) -> dict[str, Any]:
    """Returns the best detection of a photo in which none reaches the threshold, for its line.

    Args:
        detections: Detections of the photo, best first; one or more.
        display_threshold: Lowest score that is shown.
    """
    best = detections[:1].to_dict()["detections"][0]
    return {"score_threshold": display_threshold, "label": best["label"], "score": best["score"]}


def detections_from_json(line: Mapping[str, Any], class_names: tuple[str, ...]) -> Detections:
    """Inverts `detections_json`.

    Args:
        line: The line.
        class_names: The C classes. Labels decide the class, not the line's class ids.

    Raises:
        DataError: A key is missing, a label is not among the classes, or a box or score is impossible.
    """
    try:
        entries = _typed(_object(line), "detections", list)
        class_ids = [_class_id(entry["label"], class_names) for entry in entries]
        corners, scores = [entry["box"] for entry in entries], [entry["score"] for entry in entries]
        _require_numbers(chain.from_iterable(corners), "box")
        _require_numbers(scores, "score")
        boxes = np.array(corners, np.float64).reshape(-1, 4)
        if (np.abs(boxes) > LARGEST_COORDINATE).any():
            raise ValueError("a box reaches beyond any image")
        return Detections(
            image=_image_name(line),
            width=_side(line, "width"),
            height=_side(line, "height"),
            boxes=boxes.astype(np.float32),
            scores=np.array(scores, np.float32),
            class_ids=np.array(class_ids, np.int64),
            class_names=class_names,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"not detections of these {len(class_names)} classes: {problem}") from None


def _class_id(label: Any, class_names: tuple[str, ...]) -> int:
    """Returns the number of a class.

    Raises:
        ValueError: There is no such class.
    """
    if label not in class_names:
        raise ValueError(f"the label {str(label)[:60]!r} is none of {first_ones(class_names)}")
    return class_names.index(label)


def _typed(line: Mapping[str, Any], key: str, kind: type[Value]) -> Value:
    """Returns a value of a line; a number as text is none, and neither is a truth value.

    Raises:
        TypeError: The value has another type.
    """
    value = line[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{key} is {str(value)[:60]!r}, expected {_KINDS[kind]}")
    return value


def _object(line: Any) -> Mapping[str, Any]:
    """Returns a line that is an object.

    Raises:
        TypeError: It is a list, a number or a text.
    """
    if not isinstance(line, Mapping):
        raise TypeError(f"the line is {str(line)[:60]!r}, expected an object")
    return line


def _image_name(line: Mapping[str, Any]) -> str:
    """Returns the name of a line's photo.

    Raises:
        TypeError: It is no text.
        ValueError: It holds half a character, which no file can have in its name.
    """
    name = _typed(line, "image", str)
    try:
        # bytes of a file's name that are no text are told as half pairs, too, and lead back to the file
        name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("image holds half of a surrogate pair") from None
    return name


def _side(line: Mapping[str, Any], key: str) -> int:
    """Returns the width or height of a line's photo.

    Raises:
        TypeError: It is no whole number.
        ValueError: No photo has it.
    """
    side = _typed(line, key, int)
    if not 1 <= side <= LARGEST_COORDINATE:
        raise ValueError(f"{key} is less than 1 pixel or more than {LARGEST_COORDINATE:.0f}")
    return side


def _require_numbers(values: Iterable[Any], what: str) -> None:
    """Raises TypeError where a value is something else, such as a number as text, which NumPy would read."""
    if not set(map(type, values)) <= {int, float}:
        raise TypeError(f"a {what} is no number, or a number as text")


def read_detections(file: Path, class_names: tuple[str, ...]) -> list[Detections]:
    """Reads all lines of a `detections.jsonl`.

    Args:
        file: The file, which may be compressed with gzip.
        class_names: The C classes.

    Raises:
        DataError: The file is missing or malformed; the message names the line.
    """
    lines = read_text(file, "the detections", "check the path").split("\n")
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(detections_from_json(parse_line(line), class_names))
        except (ValueError, RecursionError, DataError) as error:
            raise DataError(f"{file}, line {number}: {error}; expected incdet's detections, one image a line") from None
    return found


def proposals_json(image: Image, proposals: Proposals, seconds: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Returns the line of `proposals.jsonl` for one image, best proposal first.

    Args:
        image: The image.
        proposals: Its proposals.
        seconds: Seconds of each stage by its name; None leaves them out.
    """
    rows = zip(
        shortest_decimals(proposals.boxes), shortest_decimals(proposals.scores), proposals.sources.tolist(), strict=True
    )
    entries = [{"box": box, "score": score, "source": source} for box, score, source in rows]
    line: dict[str, Any] = {"image": image.name, "width": image.width, "height": image.height, "proposals": entries}
    return line if seconds is None else line | {"seconds": _rounded(seconds)}


def classification_json(found: Classification, top: int) -> dict[str, Any]:
    """Returns the line of `classifications.jsonl` for one photo: its `top` most probable classes, best first."""
    ids = {name: class_id for class_id, name in enumerate(found.class_names)}
    best = [{"label": label, "class_id": ids[label], "score": round(score, 6)} for label, score in found.best(top)]
    return {"image": found.image, "width": found.width, "height": found.height, "classifications": best}


def coco_document(found: Iterable[Detections], class_names: Sequence[str]) -> dict[str, Any]:
    """Returns a whole COCO document (images, categories, annotations with scores) for labelling tools.

    Args:
        found: The detections of each image.
        class_names: The C classes; their ids in the document are 1..C.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, detections in enumerate(found, 1):
        size = {"width": detections.width, "height": detections.height}
        images.append({"id": image_id, "file_name": detections.image, **size})
        areas = shortest_decimals(box_areas(detections.boxes))
        for entry, area in zip(detections.to_coco(image_id), areas, strict=True):
            annotations.append({"id": len(annotations) + 1, **entry, "area": area, "iscrowd": 0})
    categories = [{"id": number, "name": name} for number, name in enumerate(class_names, 1)]
    return {"images": images, "categories": categories, "annotations": annotations}


def csv_text(found: Iterable[Detections]) -> str:
    """Returns CSV with a header and one row per detection."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for detections in found:
        for entry in detections_json(detections)["detections"]:
            names = [table_cell(detections.image), table_cell(entry["label"])]
            writer.writerow([*names, entry["class_id"], entry["score"], *entry["box"]])
    return text.getvalue()


def voc_xml(detections: Detections) -> str:
    """Returns PASCAL VOC's annotation XML, 1-based inclusive whole pixels; each object also carries its score."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = xml_text(Path(detections.image).name)
    size = ElementTree.SubElement(root, "size")
    for key, value in (("width", detections.width), ("height", detections.height), ("depth", 3)):
        ElementTree.SubElement(size, key).text = str(value)
    for label, score, box in zip(
        detections.labels, shortest_decimals(detections.scores), detections.boxes, strict=True
    ):
        element = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(element, "name").text = xml_text(label)
        ElementTree.SubElement(element, "score").text = str(score)
        ElementTree.SubElement(element, "difficult").text = "0"
        corners = ElementTree.SubElement(element, "bndbox")
        # half-open 0-based to inclusive 1-based: only the low corner moves; a box keeps at least one pixel
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        rounded = {"xmin": x1 + 1, "ymin": y1 + 1, "xmax": max(x2, x1 + 1), "ymax": max(y2, y1 + 1)}
        for key, value in rounded.items():
            ElementTree.SubElement(corners, key).text = str(value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def xml_text(text: str) -> str:
    """Returns a text without control characters, which XML cannot hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 4) for stage, value in seconds.items()}
