"""The line of one photo, as every way to run a detector or proposers writes it."""

from collections.abc import Mapping
from typing import Any

from incdet.detections import Detections
from incdet.output.writers import best_below, detections_json

Line = dict[str, Any]
"""The results of one photo, as they stand on a line of the JSON."""


def shown_detections(everything: Detections, display_threshold: float) -> Detections:
    """Returns the detections of a photo that are shown and saved.

    Args:
        everything: All detections of the photo, best first.
        display_threshold: Lowest score that is shown.
    """
    return everything[everything.scores >= display_threshold]


def detection_line(everything: Detections, display_threshold: float, timing: bool = False) -> Line:
    """Returns the line of one photo in `detections.jsonl`.

    Args:
        everything: All detections of the photo, best first.
        display_threshold: Lowest score of a detection that is written.
        timing: Whether to add the seconds of each stage.
    """
    found = shown_detections(everything, display_threshold)
    line = detections_json(found, timing)
    if len(everything) and not len(found):
        # an empty result says how near the best detection came
        line["best_below"] = best_below(everything, display_threshold)
    return line


def error_line(photo: str, sentence: str) -> Line:
    """Returns the line of a photo that has no result.

    Args:
        photo: Name of the photo.
        sentence: The finding about the photo.
    """
    return {"image": photo, "error": sentence}


def is_error(line: Mapping[str, Any]) -> bool:
    """Whether a line tells an error instead of a result."""
    return "error" in line
