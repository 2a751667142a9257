"""Class names as people give them -> class ids."""

from collections.abc import Sequence
from difflib import get_close_matches

from incdet.errors import ConfigurationError


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
