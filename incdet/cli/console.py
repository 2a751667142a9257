"""The manners of all commands: notes and progress on stderr, errors as one sentence with an exit code."""

import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from incdet.cli.progress_lines import ProgressLines
from incdet.errors import IncdetError, OutputError, PackageError, reason
from incdet.runtime.reporter import Reporter, say_nothing
from incdet.runtime.start_up import collect_garbage_rarely, tell_first_compilation
from incdet.runtime.visible_text import visible, visible_lines


class SafeConsole(Console):
    """A console on which names from outside cannot act: their control characters are written as escapes."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Returns a text with rich's marks, if they are wanted, and visible control characters."""
        return super().render_str(visible_lines(text), **options)


notes = SafeConsole(stderr=True, highlight=False, soft_wrap=True)
"""Everything meant for people; stdout is for machines."""

INTERRUPTED = 130

_TOO_LITTLE_MEMORY = ("out of memory", "allocate memory")
"""Words in the messages of torch's errors, whose type says nothing."""

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""typer's own class, which has lived in click and in typer itself, depending on the version."""


class ReaderGoneError(Exception):
    """Nobody reads stdout any more, as in `| head -1`, and nothing else was asked for."""


def warning(sentence: str) -> None:
    """Tells people what a careful reader wants to know."""
    notes.print(f"warning: {visible(sentence)}", markup=False, style="yellow")


_bars: list[Progress] = []
"""The bars on the screen; a bar within the block of another one is a line below it."""


@contextmanager
def progress_bar(description: str, total: int | None, quiet: bool = False) -> Iterator[Callable[[int, str], None]]:
    """Shows progress on stderr: a bar in a terminal, a line from time to time anywhere else.

    Args:
        description: Title of the work.
        total: Number of things to do; None where nobody knows it.
        quiet: Whether nothing is shown.

    Yields:
        A function of (number done, note).
    """
    if quiet or not notes.is_terminal:
        lines = ProgressLines(description, total, say_nothing if quiet else _note)
        yield lines.update
        lines.finish()
        return
    progress = _bars[0] if _bars else _new_bars()
    task = progress.add_task(description, total=total, note="")

    def update(done: int, note: str = "") -> None:
        progress.update(task, completed=done, note=visible(note))

    if _bars:
        yield update
        progress.remove_task(task)
        return
    with progress:
        _bars.append(progress)
        try:
            yield update
        finally:
            _bars.clear()


def _new_bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False))
    return Progress(*columns, *times, console=notes)


def _note(sentence: str) -> None:
    notes.print(visible(sentence), markup=False)


def reporter(quiet: bool = False) -> Reporter:
    """The listener of long work in a terminal; `quiet` leaves the progress bars out."""
    tell_of_compilation(quiet)
    return Reporter(lambda title, total: progress_bar(title, total, quiet), _note, warning)


def tell_of_compilation(quiet: bool = False) -> None:
    """Says so in one line if something must be compiled, which takes a while and happens once on a machine."""
    if not quiet:
        tell_first_compilation(_note_compilation)


def _note_compilation() -> None:
    notes.print("compiling kernels and networks, once; later runs load them", markup=False)


def failures_told(failures: Sequence[str]) -> int:
    """Names the inputs that failed and returns the exit code: 0, or 1 where there are any."""
    for failure in failures:
        notes.print(f"error: {visible(failure)}", markup=False, style="red")
    return 1 if failures else 0


def table_console(numbers_file: Path | None) -> Console:
    """The console of tables: stdout, or stderr where the numbers themselves go to stdout."""
    return notes if numbers_file == Path("-") else SafeConsole(highlight=False)


def write_numbers(numbers_file: Path | None, text: str) -> None:
    """Writes JSON to the file that --json names; to stdout where it is "-", nowhere where it is None."""
    if numbers_file == Path("-"):
        if sys.stdout is None:
            raise OutputError("cannot write to stdout: it is closed; give a file with --json")
        sys.stdout.write(text)
    elif numbers_file is not None:
        from incdet.runtime.files import write_text

        write_text(numbers_file, text, follow_links=True)


def run_program(main: Callable[..., Any]) -> None:
    """Runs a one-command program with the house's manners: options by typer, errors by `call_with_sentence`."""
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command()(main)
    call_with_sentence(app)


def drop_stdout() -> None:
    """Sends the rest of the buffer, and all that follows, nowhere instead of failing again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_line(line: Mapping[str, Any], is_alone: bool) -> None:
    """Prints a line of JSON to stdout at once.

    Args:
        line: The values.
        is_alone: Whether nothing else is written, so that the program ends when nobody reads stdout any more.

    Raises:
        OutputError: Stdout is closed or full.
        ReaderGoneError: Nobody reads it any more, as in `| head -1`, and nothing else is written.
    """
    if sys.stdout is None:
        raise OutputError("cannot write to stdout: it is closed; give a file with --json")
    try:
        print(json.dumps(line), flush=True)
    except BrokenPipeError:
        drop_stdout()
        if is_alone:
            raise ReaderGoneError from None
    except OSError as error:
        drop_stdout()
        raise OutputError(f"cannot write to stdout: {reason(error)}; give a file with --json") from None


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Shows Python's warnings in the block as one line each, without the source that raised them."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        warning(" ".join(str(message).split()))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _end_like_interrupted() -> None:
    """Makes SIGTERM and SIGHUP, which the system and closing terminals send, end the program as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # under nohup a closing terminal is ignored, and a program that embeds this one may have a handler of its own
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _sentence_about(error: OSError) -> str:
    """Says which path of the user's cannot be used: no permission, a name too long; or that the disk is full."""
    if error.filename is None:
        return f"cannot write or read: {reason(error)}; check the disk and where stdout goes"
    return f"cannot use {os.fsdecode(error.filename)}: {reason(error)}; give another path"


def call_with_sentence(app: typer.Typer, arguments: Sequence[str] | None = None, name: str | None = None) -> None:
    """Runs the command line and exits.

    An `IncdetError` becomes one sentence on stderr and its exit code, Ctrl-C becomes 130. Garbage is looked for rarely,
    because the process ends with the command.

    Args:
        app: The commands.
        arguments: Arguments; None takes those of the process.
        name: Name of the program in its help; None takes that of the process.
    """
    collect_garbage_rarely()
    try:
        _end_like_interrupted()
        with warnings_in_one_line():
            code = app(arguments, prog_name=name, standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except IncdetError as error:
        notes.print(f"error: {visible(str(error))}", markup=False, style="red")
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
    except SystemExit as stopped:
        # typer itself ends the program with 1 where nobody reads stdout any more, as in `incdet info | head -1`
        if not isinstance(stopped.__context__, BrokenPipeError):
            raise
        drop_stdout()
        code = 0
    except OSError as error:
        notes.print(f"error: {visible(_sentence_about(error))}", markup=False, style="red")
        code = IncdetError.exit_code
    # some versions of typer turn Ctrl-C into this exit code, others raise
    if code == INTERRUPTED:
        notes.print("interrupted; run the same command again: what is stored is not done twice", markup=False)
    sys.exit(code or 0)
