"""Which paths name videos and cameras, known without opening them."""

import re
from pathlib import Path

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ogv", ".3gp"})
"""File endings that count as videos."""

_CAMERA = re.compile(r"camera:(\d{1,3})")


def is_video(path: str) -> bool:
    """Whether a path names a video by its ending, or a camera.

    >>> is_video("clip.MP4"), is_video("camera:0"), is_video("photo.jpg")
    (True, True, False)
    """
    return Path(path).suffix.lower() in VIDEO_SUFFIXES or camera_number(path) is not None


def camera_number(path: str) -> int | None:
    """Returns the number of the camera that a path such as `camera:0` names; None for a file."""
    match = _CAMERA.fullmatch(path)
    return None if match is None else int(match[1])
