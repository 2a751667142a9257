"""Ids of COCO's entries, and the names by which its images are told apart."""

import math
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

Key = int | str
"""Id of an image, a category or an annotation."""


def unique_names(file_names: Iterable[str]) -> list[str]:
    """Returns a name for every image: its stem or, where others have the same, its path with or without the ending.

    >>> unique_names(["a/x.jpg", "b/x.jpg", "y.jpg", "y.png"])
    ['a/x', 'b/x', 'y.jpg', 'y.png']
    """
    paths = [PurePosixPath(name) for name in file_names]
    forms = [
        [path.stem for path in paths],
        [str(path.with_suffix("")) for path in paths],
        [str(path) for path in paths],
    ]
    counts: list[dict[str, int]] = []
    for form in forms:
        number: dict[str, int] = {}
        for name in form:
            number[name] = number.get(name, 0) + 1
        counts.append(number)
    chosen = []
    for choices in zip(*forms, strict=True):
        fitting = (name for name, number in zip(choices, counts, strict=True) if number[name] == 1)
        chosen.append(next(fitting, choices[-1]))
    return chosen


def entry_key(value: Any) -> Key | None:
    """Returns an id as a whole number or a name, None where it is neither: 1.0 is 1, but true and 1.5 are no ids."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else None
    return value
