"""Bounded tries of a part whose workers die: the photo that they die of is found, and gets an error instead."""

from dataclasses import dataclass, field

from incdet.cluster.part_worker import PartTask
from incdet.errors import IncdetError

MAX_DEATHS = 2
"""Number of workers that may die while they work on a photo, besides the one that died before photos were noted."""

MAX_FAILED_BEGINNINGS = 5
"""Number of workers in a row that may die of a part before they begin with any photo, or after the last one."""


class HopelessPartError(IncdetError):
    """A part that workers die of before its first photo or after its last one."""

    exit_code = 3


@dataclass
class PartTries:
    """The tries of one part.

    The first try is quick. From the second try on the worker notes every photo before it fetches it, so that the
    photo at which it dies is known. A machine that goes away costs no photo its result, unless it happens again and
    again at the same photo.

    Attributes:
        number: Number of the part.
        num_deaths: Number of workers that have died of the part.
    """

    number: int
    num_deaths: int = 0
    _deaths_at: dict[int, int] = field(default_factory=dict)
    _hopeless: dict[int, str] = field(default_factory=dict)
    _failed_beginnings: int = 0

    def task(self) -> PartTask:
        """Returns the next try."""
        return PartTask(self.number, self.num_deaths > 0, dict(self._hopeless))

    def died(self, position: int | None, cause: str) -> None:
        """Notes that the worker of the present try has died.

        Args:
            position: Position of the photo that it was fetching or working on; None where it noted none.
            cause: Words about the death, for the photo's error.

        Raises:
            HopelessPartError: Workers die of the part again and again, and of no photo.
        """
        was_careful = self.num_deaths > 0
        self.num_deaths += 1
        if not was_careful:
            return
        if position is None:
            self._failed_beginnings += 1
            if self._failed_beginnings == MAX_FAILED_BEGINNINGS:
                raise HopelessPartError(
                    f"cannot do part {self.number}: {MAX_FAILED_BEGINNINGS} workers have died of it and of no photo "
                    f"({cause}); look at the nodes' memory and Ray's logs, and run again"
                )
            return
        self._failed_beginnings = 0
        self._deaths_at[position] = self._deaths_at.get(position, 0) + 1
        if self._deaths_at[position] == MAX_DEATHS:
            self._hopeless[position] = (
                f"{MAX_DEATHS} workers have died of it ({cause}); try it alone, or with more memory"
            )
