"""The numbers of crops of a whole photo that can be laid out (paper, section 7)."""

from collections.abc import Sequence
from typing import Literal, get_args

from incdet.errors import ConfigurationError

NumCrops = Literal[1, 10, 144]
KNOWN_CROPS: tuple[NumCrops, ...] = get_args(NumCrops)


def choose_crops(numbers: Sequence[int]) -> list[NumCrops]:
    """Returns numbers of crops in rising order and each once.

    Raises:
        ConfigurationError: A number is none of those that crops can be laid out for.

    >>> choose_crops([10, 1, 10])
    [1, 10]
    """
    for number in sorted(numbers):
        if number not in KNOWN_CROPS:
            raise ConfigurationError(f"--crops is {number}; expected 1, 10 or 144")
    return [known for known in KNOWN_CROPS if known in numbers]
