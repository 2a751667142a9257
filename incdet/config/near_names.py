"""The names that were probably meant by an unknown one, by the number of typing errors between them."""

from collections.abc import Iterable

MIN_PREFIX = 3
"""Number of letters from which the beginning of a name is taken for the name."""


def edit_distance(first: str, second: str) -> int:
    """Counts the typing errors between two words.

    An error is a letter too many, a missing or a wrong one, or two neighbours in the wrong order: the optimal string
    alignment distance, a restricted form of Damerau (1964).

    >>> edit_distance("cta", "cat"), edit_distance("catt", "cat"), edit_distance("kitten", "bottle")
    (1, 1, 4)
    """
    # rows of the table of distances between the beginnings of both words; two rows back for exchanged neighbours
    before: list[int] = []
    above = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            distance = min(above[column] + 1, current[column - 1] + 1, above[column - 1] + (letter != other))
            exchanged = row > 1 and column > 1 and letter == second[column - 2] and first[row - 2] == other
            if exchanged:
                distance = min(distance, before[column - 2] + 1)
            current.append(distance)
        before, above = above, current
    return above[-1]


def nearest_names(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Returns the known names that somebody may have meant, the nearest first.

    A name is near with one typing error in three letters at most, as compilers have it, or where the unknown name is
    its beginning. Upper and lower case count as the same.

    Args:
        name: The unknown name.
        known: The known names.
        count: Largest number of names that are returned, default 1.

    >>> nearest_names("regions_vco", ["regions_voc", "multibox_voc"]), nearest_names("kitten", ["bottle", "cat"])
    (['regions_voc'], [])
    >>> nearest_names("own", ["own_data"])
    ['own_data']
    """
    wanted = name.lower()
    most_errors = max(len(wanted), 3) // 3
    found: list[tuple[int, str]] = []
    for candidate in known:
        distance = edit_distance(wanted, candidate.lower())
        is_beginning = len(wanted) >= MIN_PREFIX and candidate.lower().startswith(wanted)
        # a word of one letter is near to no other
        is_near = distance <= most_errors and distance < len(wanted)
        if is_near or is_beginning:
            found.append((distance, candidate))
    # the order of the known names decides between equally near ones
    found.sort(key=lambda entry: entry[0])
    return [candidate for _, candidate in found[:count]]
