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
    return parse_class_list(read_text(file, "the class list", "check the path"), str(file))


def parse_class_list(text: str, origin: str) -> tuple[str, ...]:
    """Returns the classes of a text with one class a line; see `read_class_list`.

    Args:
        text: The text.
        origin: Its file, for messages.

    Raises:
        DataError: The text is empty or names a class twice.
    """
    names = [line.strip() for line in text.splitlines() if line.strip()]
    first_words = [name.split()[0] for name in names]
    # a class may be called "dining table", but behind a WordNet id there are only explanations
    has_ids = all(_WORDNET_ID.fullmatch(word) for word in first_words)
    classes = tuple(first_words if has_ids else names)
    if not classes or len(set(classes)) < len(classes):
        raise DataError(f"the class list {origin} is empty or names a class twice; expected one class a line")
    return classes
