"""Ids of COCO's entries."""

import math
from typing import Any

Key = int | str
"""Id of an image, a category or an annotation."""


def entry_key(value: Any) -> Key | None:
    """Returns an id as a whole number or a name, None where it is neither: 1.0 is 1, but true and 1.5 are no ids."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else None
    return value
