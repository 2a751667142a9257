"""Class ids of the class names that a user gives."""

from collections.abc import Sequence

from incdet.config.near_names import nearest_names
from incdet.errors import ConfigurationError

SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"aeroplane", "airplane", "plane", "aircraft", "jet"}),
    frozenset({"bicycle", "bike", "cycle"}),
    frozenset({"motorbike", "motorcycle", "moped", "scooter"}),
    frozenset({"car", "automobile", "auto", "taxi"}),
    frozenset({"bus", "coach"}),
    frozenset({"boat", "ship", "watercraft"}),
    frozenset({"train", "tram", "locomotive"}),
    frozenset({"cat", "kitten", "kitty", "domestic cat"}),
    frozenset({"dog", "puppy"}),
    frozenset({"cow", "calf", "bull", "cattle"}),
    frozenset({"sheep", "lamb"}),
    frozenset({"horse", "pony", "foal"}),
    frozenset({"person", "people", "human", "man", "woman", "child", "boy", "girl", "pedestrian"}),
    frozenset({"sofa", "couch"}),
    frozenset({"diningtable", "dining table", "table"}),
    frozenset({"pottedplant", "potted plant", "plant", "flower pot"}),
    frozenset({"tvmonitor", "tv or monitor", "tv", "television", "monitor", "screen"}),
)
"""Words that name the same class in PASCAL VOC, COCO, ILSVRC or everyday speech."""


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
        ConfigurationError: A name is unknown; the message has the class that was probably meant, or all classes.

    >>> find_classes(["dog"], ["cat", "dog"], "this example")
    [1]
    """
    ids = {name: number for number, name in enumerate(known)}
    for name in asked:
        if name not in ids:
            near = _same_meaning(name, known) or nearest_names(name, known)
            hint = f"did you mean '{near[0]}'?" if near else f"known classes: {', '.join(known)}"
            raise ConfigurationError(f"{owner} has no class '{name}'; {hint}")
    return [ids[name] for name in asked]


def _same_meaning(name: str, known: Sequence[str]) -> list[str]:
    """Returns the known classes that another word for them names.

    >>> _same_meaning("Kitten", ["bottle", "cat"]), _same_meaning("spoon", ["bottle", "cat"])
    (['cat'], [])
    """
    words: set[str] = set()
    for group in SYNONYMS:
        if name.lower() in group:
            words |= group
    return [candidate for candidate in known if candidate.lower() in words]
