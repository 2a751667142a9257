"""Classes by name: those that a user asks for, and lists of them in files."""

import re
from pathlib import Path

from incdet.errors import DataError
from incdet.runtime.files import read_text

_WORDNET_ID = re.compile(r"n\d{8}")


def read_class_list(file: Path) -> tuple[str, ...]:
    """One class a line: WordNet ids where every line begins with one, else whole lines.

    Raises:
        DataError: missing, no text, empty, or a class is named twice.
    """
    lines = read_text(file, "the class list", "check the path").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    first = [name.split()[0] for name in names]
    # a class may be called "dining table", but behind a WordNet id there are only explanations
    classes = tuple(first if all(_WORDNET_ID.fullmatch(word) for word in first) else names)
    if not classes or len(set(classes)) < len(classes):
        raise DataError(f"the class list {file} is empty or names a class twice; expected one class a line")
    return classes
