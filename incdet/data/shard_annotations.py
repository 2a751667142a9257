"""The annotation of a photo in a shard: the JSON beside it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from incdet.errors import DataError
from incdet.structures import LARGEST_COORDINATE, GroundTruth

EXAMPLE = '{"width": 500, "height": 375, "objects": [{"class": "dog", "box": [48, 240, 195, 371]}]}'
"""An annotation as messages show it; boxes are x1, y1, x2, y2 in pixels, 0-based and half-open."""


def parse_shard_annotation(
    value: Any, place: str, name: str, class_ids: Mapping[str, int]
) -> tuple[GroundTruth, Counter[str]]:
    """Returns the objects of a photo, and the number of objects of every class that the data set lacks.

    Args:
        value: The annotation.
        place: Shard and photo, for messages.
        name: Name of the image where the annotation states none.
        class_ids: Class id by class name.

    Raises:
        DataError: The annotation has another form.
    """
    if not isinstance(value, dict) or not isinstance(value.get("objects"), list):
        raise DataError(f"the annotation of {place} has no list of objects; expected the form {EXAMPLE}")
    width, height, num_impossible = (_count(value, key, place) for key in ("width", "height", "num_impossible"))
    boxes, ids, ignored = [], [], []
    unknown = Counter[str]()
    for entry in value["objects"]:
        class_name = entry.get("class") if isinstance(entry, dict) else None
        if not isinstance(class_name, str):
            raise DataError(f"the annotation of {place} has an object without a class; expected the form {EXAMPLE}")
        if class_name not in class_ids:
            unknown[class_name] += 1
            continue
        box = _box(entry.get("box"), place)
        if box is None:
            num_impossible += 1
            continue
        boxes.append(box)
        ids.append(class_ids[class_name])
        ignored.append(_flag(entry, place))
    stated = value.get("name", name)
    if not isinstance(stated, str) or not stated:
        raise DataError(f"the annotation of {place} has a name that is no text; leave it out or correct it")
    truth = GroundTruth(
        image=stated,
        width=width,
        height=height,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(ids, np.int64),
        ignored=np.array(ignored, np.bool_),
        num_impossible=num_impossible,
    )
    return truth, unknown


def shard_annotation(truth: GroundTruth, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the annotation of a photo in the form in which shards hold it.

    Args:
        truth: The objects.
        class_names: The C classes.
    """
    objects = []
    for box, class_id, is_ignored in zip(truth.boxes.tolist(), truth.class_ids.tolist(), truth.ignored, strict=True):
        entry: dict[str, Any] = {"class": class_names[class_id], "box": box}
        if is_ignored:
            entry["ignored"] = True
        objects.append(entry)
    value: dict[str, Any] = {"name": truth.image, "width": truth.width, "height": truth.height, "objects": objects}
    if truth.num_impossible:
        value["num_impossible"] = truth.num_impossible
    return value


def _count(value: dict[str, Any], key: str, place: str) -> int:
    """Returns a number of pixels or objects; 0 where the annotation states none."""
    number = value.get(key, 0)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= LARGEST_COORDINATE:
        raise DataError(f"the annotation of {place} has the {key} {str(number)[:60]!r}; expected a whole number")
    return number


def _box(value: Any, place: str) -> list[float] | None:
    """Returns a box; None for an impossible one, whose corners are exchanged or no place in any image."""
    is_number = isinstance(value, list) and len(value) == 4
    is_number = is_number and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    if not is_number:
        raise DataError(f"the annotation of {place} has an object without a box; expected the form {EXAMPLE}")
    # the comparison is false for NaN, too
    if not all(abs(corner) <= LARGEST_COORDINATE for corner in value):
        return None
    left, top, right, bottom = (float(corner) for corner in value)
    return None if right < left or bottom < top else [left, top, right, bottom]


def _flag(entry: dict[str, Any], place: str) -> bool:
    value = entry.get("ignored", False)
    if not isinstance(value, bool):
        raise DataError(f"the annotation of {place} has 'ignored': {str(value)[:60]}; expected true or false")
    return value
