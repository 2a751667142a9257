"""What a campaign of mutated files tries: the good files of each kind, and what must hold for whatever is accepted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robustness_mutations import Form, Mutated


class WrongAnswerError(Exception):
    """A damaged file was accepted and gave something wrong."""


def expect(holds: object, what: str) -> None:
    """Raises WrongAnswerError where something does not hold."""
    if not holds:
        raise WrongAnswerError(what)


Check = Callable[[Mutated], None]
"""Reads a changed file. Returns where it is read right, raises IncdetError where it is refused, else it is a fault."""


@dataclass(frozen=True)
class Prepared:
    """The good files of a target, and the check of changed ones.

    Attributes:
        seeds: The good files' bytes.
        check: The check.
    """

    seeds: tuple[bytes, ...]
    check: Check


@dataclass(frozen=True)
class Target:
    """A kind of files.

    Attributes:
        name: Its name in tables.
        form: The make of the files.
        num_inputs: Number of inputs in the whole campaign.
        prepare: Makes good files and their check in an empty folder.
        is_parser: Whether a hand-written parser reads them, for which coverage-guided changes pay.
    """

    name: str
    form: Form
    num_inputs: int
    prepare: Callable[[Path], Prepared]
    is_parser: bool = False


def all_targets() -> dict[str, Target]:
    """Returns every target by its name. Modules are loaded here, because some of them need torch."""
    from robustness_annotations import ANNOTATION_TARGETS
    from robustness_photos import PHOTO_TARGETS
    from robustness_results import RESULT_TARGETS
    from robustness_weights import WEIGHT_TARGETS

    targets = (*PHOTO_TARGETS, *WEIGHT_TARGETS, *ANNOTATION_TARGETS, *RESULT_TARGETS)
    return {target.name: target for target in targets}
