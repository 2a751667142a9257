"""How long work tells people what it does, without knowing whether a terminal, a log or nobody listens."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

Update = Callable[[int, str], None]
"""Called with the number of items done and the name of the next one."""

Progress = Callable[[str, int], AbstractContextManager[Update]]
"""Opens a progress bar with a title and a number of items; the block moves it with the `Update` that it gets."""


@contextmanager
def no_progress(title: str, total: int) -> Iterator[Update]:
    """A progress bar that nobody sees."""
    yield lambda done, name: None


def say_nothing(sentence: str) -> None:
    """Takes a sentence that nobody needs to hear."""


@dataclass(frozen=True)
class Reporter:
    """The listener of long work.

    Attributes:
        progress: Opens a progress bar.
        note: Takes a fact, such as the name of a file that was written.
        warn: Takes a sentence that a careful reader wants to know.
    """

    progress: Progress = no_progress
    note: Callable[[str], None] = say_nothing
    warn: Callable[[str], None] = say_nothing

    def follow(self, title: str, files: Iterable[Path], total: int) -> None:
        """Runs through files that are being worked on, with a progress bar.

        Args:
            title: Title of the bar.
            files: Yields every file once it is done.
            total: Number of files.
        """
        with self.progress(title, total) as update:
            for done, file in enumerate(files, 1):
                update(done, file.name)


SILENT = Reporter()
"""Nobody listens."""
