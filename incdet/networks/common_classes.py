"""Classes that two networks have in common, whatever each of them calls and numbers them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from incdet.errors import WeightsError
from incdet.networks.weights_record import WeightsRecord, same_preprocessing


class CommonClass(NamedTuple):
    """A class that two networks know, by its columns in the probabilities of either."""

    finder_column: int
    namer_column: int


def common_classes(
    finder_classes: Sequence[str], namer_classes: Sequence[str], other_names: Mapping[str, str]
) -> tuple[CommonClass, ...]:
    """Finds the classes that networks which find objects and a network that names them both know.

    >>> common_classes(["cow", "bus"], ["bus", "cattle"], {"cow": "cattle"})
    (CommonClass(finder_column=0, namer_column=1), CommonClass(finder_column=1, namer_column=0))

    Args:
        finder_classes: the classes of the networks that find objects.
        namer_classes: the namer's classes.
        other_names: name that the finder may have for a class -> the namer's name.
    """
    common: dict[str, CommonClass] = {}
    for column, name in enumerate(finder_classes):
        own_name = other_names.get(name, name)
        # of two classes with one meaning, the first one counts
        if own_name in namer_classes and own_name not in common:
            common[own_name] = CommonClass(column, namer_classes.index(own_name))
    return tuple(common.values())


def common_classes_of(finder: WeightsRecord, namer: WeightsRecord) -> tuple[CommonClass, ...]:
    """Finds the classes that two networks both know; the namer's record says what others call its classes."""
    return common_classes(finder.classes, namer.classes, namer.other_names)


def check_namer(namer: WeightsRecord, members: WeightsRecord) -> None:
    """Checks that a network can name once more what others find.

    Args:
        namer: its record.
        members: record of one of the others.

    Raises:
        WeightsError: the namer was trained on crops or classifies whole photos, or both have less than two classes in
            common, so that there is nothing to tell apart.
    """
    if namer.features != "shared":
        raise WeightsError(
            f"the namer was trained on {namer.features} features ({namer.origin}); give weights that were trained on "
            "shared features, such as googlenet-voc-namer, as scores.namer"
        )
    same_preprocessing([namer])
    number = len(common_classes_of(members, namer))
    if number < 2:
        raise WeightsError(
            f"the namer ({namer.origin}) knows {number or 'none'} of the classes of the other weights, "
            f"{members.classes[0]} and so on, and needs two to tell apart; give other weights as scores.namer, or set "
            "scores.namer=none"
        )
