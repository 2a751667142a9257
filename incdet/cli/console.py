"""What the programs share: notes and progress on stderr, errors as one sentence with an exit code."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from incdet.errors import IncdetError, PackageError, reason

notes = Console(stderr=True, highlight=False, soft_wrap=True)
"""Everything meant for people; stdout is for machines."""

INTERRUPTED = 130

_TOO_LITTLE_MEMORY = ("out of memory", "allocate memory")
"""In the messages of torch's errors, whose type says nothing."""

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""typer's own class, which has lived in click and in typer itself, depending on the version."""


class ReaderGoneError(Exception):
    """Nobody reads stdout any more, as in `| head -1`, and nothing else was asked for."""


def warning(sentence: str) -> None:
    """Tells people what a careful reader wants to know."""
    notes.print(f"warning: {sentence}", markup=False, style="yellow")


@contextmanager
def progress_bar(description: str, total: int, quiet: bool = False) -> Iterator[Callable[[int, str], None]]:
    """A progress bar on stderr; the block gets a function of (number done, note)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False))
    with Progress(*columns, *times, console=notes, disable=quiet) as progress:
        task = progress.add_task(description, total=total, note="")

        def update(done: int, note: str = "") -> None:
            progress.update(task, completed=done, note=note)

        yield update


def run_program(main: Callable[..., Any]) -> None:
    """Runs a one-command program with the house's manners: options by typer, errors by `call_with_sentence`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    call_with_sentence(app)


def drop_stdout() -> None:
    """What is left in the buffer, and all that follows, goes nowhere instead of failing again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def call_with_sentence(app: typer.Typer) -> None:
    """Runs the command line; an `IncdetError` becomes one sentence on stderr and its exit code, Ctrl-C 130."""
    try:
        code = app(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except IncdetError as error:
        notes.print(f"error: {error}", markup=False, style="red")
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except UsageError as error:
        error.show()  # type: ignore[attr-defined]
        code = 2
    except ImportError as error:
        notes.print(
            f"error: cannot load a package that incdet needs: {error}; install incdet again", markup=False, style="red"
        )
        code = PackageError.exit_code
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in _TOO_LITTLE_MEMORY):
            raise
        notes.print(
            f"error: not enough memory ({reason(error)}); close other programs, or try smaller photos "
            "(images.max_megapixels leaves large ones out), fewer workers or a smaller batch",
            markup=False,
            style="red",
        )
        code = IncdetError.exit_code
    except ReaderGoneError:
        code = 0
    except BrokenPipeError:
        drop_stdout()
        code = 0
    except OSError as error:
        # whatever looks at a path of the user's: no permission, a name too long
        place = "" if error.filename is None else f" {os.fsdecode(error.filename)}"
        notes.print(f"error: cannot use{place}: {reason(error)}; give another path", markup=False, style="red")
        code = IncdetError.exit_code
    # some versions of typer turn Ctrl-C into this exit code, others raise
    if code == INTERRUPTED:
        notes.print("interrupted; run the same command again: what is stored is not done twice", markup=False)
    sys.exit(code or 0)
