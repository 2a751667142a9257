"""Names of files in annotations and lists, which may lead anywhere and be no possible names."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from incdet.structures import GroundTruth

_ORDINARY = re.compile(r"[A-Za-z0-9_-]{1,99}(?:[./][A-Za-z0-9_-]{1,99})?")
"""Names of almost all files."""

_MAX_PART_BYTES = 255
"""Longest name of a file or a folder on the usual file systems."""

_MAX_BYTES = 2000
"""Longest path in a data set; systems take 4096 bytes, the folder of the data included."""


def is_ordinary(name: str) -> bool:
    """Whether a name is possible and stays inside at first sight: lists have ten thousands of names.

    >>> is_ordinary("2008_000001"), is_ordinary("train/x-1"), is_ordinary("../x"), is_ordinary("my photo")
    (True, True, False, False)
    """
    return _ORDINARY.fullmatch(name) is not None


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


def unique_names(file_names: Iterable[str]) -> list[str]:
    """Returns a name for every image: its stem or, where others have the same, its path with or without the ending.

    >>> unique_names(["a/x.jpg", "b/x.jpg", "y.jpg", "y.png"])
    ['a/x', 'b/x', 'y.jpg', 'y.png']
    """
    paths = [PurePosixPath(name) for name in file_names]
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    forms = [stems, [str(path.with_suffix("")) for path in paths], [str(path) for path in paths]]
    counts = [Counter(form) for form in forms]
    chosen = []
    for choices in zip(*forms, strict=True):
        fitting = (name for name, number in zip(choices, counts, strict=True) if number[name] == 1)
        chosen.append(next(fitting, choices[-1]))
    return chosen


def named_apart(truths: Sequence[GroundTruth], file_names: Sequence[str]) -> tuple[GroundTruth, ...]:
    """Returns annotations whose images have different names, by which predictions are told apart.

    Args:
        truths: The annotations; their images have the stems of their files.
        file_names: The files, relative to a folder.
    """
    if len({truth.image for truth in truths}) == len(truths):
        return tuple(truths)
    named = zip(truths, unique_names(file_names), strict=True)
    return tuple(replace(truth, image=name) for truth, name in named)
