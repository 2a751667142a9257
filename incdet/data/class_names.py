"""Lists of class names in files."""

import re
from pathlib import Path

from incdet.errors import DataError
from incdet.runtime.text_files import read_text

_WORDNET_ID = re.compile(r"n\d{8}")


def read_class_list(file: Path) -> tuple[str, ...]:
    """Returns the classes of a file with one class a line: WordNet ids where every line begins with one, else lines.

    Raises:
        DataError: The file is missing, no text or empty, or names a class twice.
    """
    lines = read_text(file, "the class list", "check the path").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    first_words = [name.split()[0] for name in names]
    # a class may be called "dining table", but behind a WordNet id there are only explanations
    has_ids = all(_WORDNET_ID.fullmatch(word) for word in first_words)
    classes = tuple(first_words if has_ids else names)
    if not classes or len(set(classes)) < len(classes):
        raise DataError(f"the class list {file} is empty or names a class twice; expected one class a line")
    return classes
