"""Names of files in annotations and lists, which may lead anywhere and be no possible names."""

import os
from pathlib import PurePosixPath

_MAX_PART_BYTES = 255
"""Longest name of a file or a folder on the usual file systems."""

_MAX_BYTES = 2000
"""Longest path in a data set; systems take 4096 bytes, the folder of the data included."""


def is_possible(name: str) -> bool:
    r"""Whether a file can have a name: the system raises odd errors for others.

    >>> is_possible("a/b c.jpg"), is_possible("a\0"), is_possible("a" * 300), is_possible("\ud800")
    (True, False, False, False)
    """
    try:
        encoded = os.fsencode(name)
    except UnicodeError:
        return False
    parts = encoded.split(b"/")
    return b"\0" not in encoded and len(encoded) <= _MAX_BYTES and max(map(len, parts)) <= _MAX_PART_BYTES


def is_whole_text(name: str) -> bool:
    r"""Whether a name can be written as UTF-8: JSON may hold halves of characters.

    >>> is_whole_text("é"), is_whole_text("\ud800")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeError:
        return False
    return True


def stays_inside(name: str) -> bool:
    """Whether a name is that of something below a folder, and not the folder itself or a way out of it.

    >>> stays_inside("a/b.jpg"), stays_inside("../b.jpg"), stays_inside("/b.jpg"), stays_inside(".")
    (True, False, False, False)
    """
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.name)
