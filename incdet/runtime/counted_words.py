"""Numbers with their noun, in the singular where there is one of a kind."""

from collections.abc import Iterable


def counted(number: int, one: str, many: str | None = None) -> str:
    """Returns a number and its noun.

    >>> counted(1, "photo"), counted(1234, "photo"), counted(0, "class", "classes")
    ('1 photo', '1,234 photos', '0 classes')

    Args:
        number: number of things.
        one: noun for one thing.
        many: noun for any other number; None is `one` and an "s".
    """
    many = f"{one}s" if many is None else many
    return f"{number:,} {one if number == 1 else many}"


def of_all(number: int, total: int, one: str, many: str | None = None) -> str:
    """Returns a number out of all, with the noun of all.

    >>> of_all(1, 40, "photo"), of_all(1, 1, "photo")
    ('1 of 40 photos', '1 of 1 photo')
    """
    return f"{number:,} of {counted(total, one, many)}"


def first_ones(names: Iterable[object], most: int = 3) -> str:
    """Returns the first of some names between commas, with an ellipsis where there are more.

    >>> first_ones(["a", "b"]), first_ones("abcd", 2)
    ('a, b', 'a, b, ...')
    """
    listed = [str(name) for name in names]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")
