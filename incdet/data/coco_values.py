"""The values of COCO's entries, checked for their types: a number as text is no number, and a truth value is none."""

import math
from collections.abc import Mapping
from typing import Any

from incdet.data.coco_keys import entry_key
from incdet.structures import LARGEST_COORDINATE

_NUMBERS = {int, float}
"""The types of JSON's numbers; Python counts truth values among its numbers, JSON does not."""


class WrongEntryError(Exception):
    """The end of a sentence about an entry, whose place is only named where something is wrong."""


def category_of(entry: Mapping[str, Any], names: Mapping[int, str]) -> int:
    """Returns the id of an object's category, which is one of those that the document lists."""
    key = entry_key(entry.get("category_id"))
    if not isinstance(key, int):
        raise WrongEntryError(f" has the category_id {shown_value(entry, 'category_id')}; expected a whole number")
    if key not in names:
        known = ", ".join(map(str, sorted(names)[:5])) + (", ..." if len(names) > 5 else "")
        raise WrongEntryError(f": category_id {key} is none of the file's categories ({known}); correct one of them")
    return key


def box_of(entry: Mapping[str, Any]) -> list[float]:
    """Returns x, y, width and height, which may still be impossible; infinity stands for what is no coordinate."""
    if "bbox" not in entry:
        raise WrongEntryError(" has no bbox; expected [x, y, width, height]")
    values = entry["bbox"]
    if not isinstance(values, list) or len(values) != 4 or not set(map(type, values)) <= _NUMBERS:
        raise WrongEntryError(
            f" has the bbox {shown_value(entry, 'bbox')}; expected four numbers, [x, y, width, height]"
        )
    # whole numbers of any length are valid JSON, but not valid coordinates
    return [float(value) if abs(value) <= LARGEST_COORDINATE else math.inf for value in values]


def box_problem(box: list[float]) -> str | None:
    """Returns what makes a box impossible, None where nothing does."""
    if math.inf in box:
        return "a number that is no place in an image"
    if box[2] < 0 or box[3] < 0:
        side, value = ("width", box[2]) if box[2] < 0 else ("height", box[3])
        return f"a {side} of {value:g}"
    return None


def is_crowd(entry: Mapping[str, Any]) -> bool:
    """Returns `iscrowd`, which is 0 or 1; a text would be true whatever it says."""
    value = entry.get("iscrowd", 0)
    if isinstance(value, str) or value not in (0, 1):
        raise WrongEntryError(f" has iscrowd {shown_value(entry, 'iscrowd')}; expected 0 or 1")
    return bool(value)


def area_of(entry: Mapping[str, Any], box: list[float]) -> float:
    """Returns `area`, that of the outline where there is one; that of the box where the entry states none."""
    value = entry.get("area")
    if value is None:
        return box[2] * box[3]
    if type(value) not in _NUMBERS or not 0 <= value <= LARGEST_COORDINATE**2:
        raise WrongEntryError(f" has the area {shown_value(entry, 'area')}; expected a number of square pixels")
    return float(value)


def kind_of(value: Any) -> str:
    """Returns what a value of JSON is, in JSON's words."""
    kinds = {dict: "object", list: "list", str: "text", bool: "truth value", type(None): "null"}
    return kinds.get(type(value), "number")


def shown_value(entry: Mapping[str, Any], key: str) -> str:
    """Returns a value as it stands in the file, shortened; "(none)" where the key is missing."""
    return repr(entry[key])[:60] if key in entry else "(none)"
