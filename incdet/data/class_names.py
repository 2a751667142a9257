"""Classes by name: those that a user asks for, and lists of them in files."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from incdet.errors import ConfigurationError, DataError
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


def split_names(text: str) -> list[str]:
    """Names between commas.

    >>> split_names("cat, dog,")
    ['cat', 'dog']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def find_classes(asked: Sequence[str], known: Sequence[str], owner: str) -> list[int]:
    """Names -> class ids.

    Args:
        asked: names, spelt as the owner spells them.
        known: the C classes.
        owner: whose classes they are, for the message.

    Raises:
        ConfigurationError: names the first unknown one and the nearest known one.

    >>> find_classes(["dog"], ["cat", "dog"], "this example")
    [1]
    """
    ids = {name: number for number, name in enumerate(known)}
    by_lower = {name.lower(): name for name in known}
    for name in asked:
        if name not in ids:
            nearest = [by_lower[close] for close in get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)]
            hint = f"did you mean '{nearest[0]}'?" if nearest else f"known classes: {', '.join(known)}"
            raise ConfigurationError(f"{owner} has no class '{name}'; {hint}")
    return [ids[name] for name in asked]
