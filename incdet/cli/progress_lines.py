"""Progress where no bar can move, as in a file or a log: a line from time to time."""

import time
from collections.abc import Callable

FIRST_SECONDS, SECONDS = 5.0, 20.0
"""Seconds of work before the first line, and between two lines."""


class ProgressLines:
    """The progress of one piece of work as lines.

    Args:
        title: Title of the work.
        total: Number of things to do; None where nobody knows it.
        write: Takes a line.
        clock: Tells seconds.
    """

    def __init__(
        self, title: str, total: int | None, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title, self._total, self._write, self._clock = title, total, write, clock
        self._started = clock()
        self._due = self._started + FIRST_SECONDS
        self._done, self._note = 0, ""
        self._written: tuple[int, str] | None = None

    def update(self, done: int, note: str = "") -> None:
        """Notes how much is done, and writes a line where one is due."""
        self._done, self._note = done, note
        if self._clock() >= self._due:
            self._due = self._clock() + SECONDS
            self._written = done, note
            self._write(self._line())

    def finish(self) -> None:
        """Writes the last line, unless it was written."""
        if self._written != (self._done, self._note):
            self._write(self._line())

    def _line(self) -> str:
        seconds = self._clock() - self._started
        note = f", {self._note}" if self._note else ""
        total = "" if self._total is None else f" of {self._total:,}"
        return f"{self._title}: {self._done:,}{total} after {seconds:.0f} s{note}"
