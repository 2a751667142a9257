"""Class ids of the class names that a user gives."""

from collections.abc import Sequence
from difflib import get_close_matches

from incdet.errors import ConfigurationError


def split_names(text: str) -> list[str]:
    """Returns the names between commas.

    >>> split_names("cat, dog,")
    ['cat', 'dog']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def find_classes(asked: Sequence[str], known: Sequence[str], owner: str) -> list[int]:
    """Returns the class ids of names.

    Args:
        asked: The names, spelt as the owner spells them.
        known: The C classes.
        owner: The owner of the classes, for the message.

    Raises:
        ConfigurationError: A name is unknown; the message has the nearest known one.

    >>> find_classes(["dog"], ["cat", "dog"], "this example")
    [1]
    """
    ids = {name: number for number, name in enumerate(known)}
    by_lower = {name.lower(): name for name in known}
    for name in asked:
        if name not in ids:
            close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
            hint = f"did you mean '{by_lower[close[0]]}'?" if close else f"known classes: {', '.join(known)}"
            raise ConfigurationError(f"{owner} has no class '{name}'; {hint}")
    return [ids[name] for name in asked]
