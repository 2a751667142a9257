"""Addresses on the network where files are expected: nothing is loaded from there, and the message says so."""

import re
from pathlib import Path

# one slash is left where a path has been made of the address; a single letter would be a drive of Windows
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def missing_file_hint(place: str | Path, otherwise: str) -> str:
    """Returns what a message says about a file or folder that is not there.

    Args:
        place: The file or folder, as the user gave it.
        otherwise: The finding and the advice where it is no URL.

    >>> missing_file_hint("https://example.org/cat.jpg", "there is no such file; check the path")
    'it is a URL, and incdet loads nothing over the network; download it and give the file'
    >>> missing_file_hint("cat.jpg", "there is no such file; check the path")
    'there is no such file; check the path'
    """
    if _URL.match(str(place)):
        return "it is a URL, and incdet loads nothing over the network; download it and give the file"
    return otherwise
