"""Helpers of the tests of the command line: few proposals, the sentence of an error, the program as a process."""

import shlex
import subprocess
import sys

import typer

from incdet.cli.app import app

FEW = ("--set", "proposals.limit=24", "--set", "proposals.methods=[selective_search]")
"""Settings with which a photo takes a fraction of a second."""

ONE = (*FEW, "--members", "1", "--set", "scores.namer=none", "--set", "scores.photo_sides=[384]")
"""The same for `incdet detect`, with one network of the ensemble behind small feature maps."""


def one_sentence(err):
    """The message alone: a single line, no traceback."""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, err
    return lines[0]


def run_program(*arguments, **options):
    """The program in a process of its own, with real streams."""
    program = f"import sys; sys.path[:0] = {sys.path!r}; from incdet.cli.app import main; main()"
    return subprocess.run([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, check=False, **options)


def require_parsing(command: str) -> None:
    """Makes sure that the program would take a command as it stands in a page or in a message.

    Raises:
        Exception: typer's own error about the words of the command.
    """
    words = shlex.split(command, comments=True)
    assert words[0] == "incdet", command
    parser, context, rest = typer.main.get_command(app), None, words[1:]
    while True:
        context = parser.make_context(parser.name or "incdet", rest, parent=context)
        if not hasattr(parser, "resolve_command"):
            return
        left = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
        if not left:
            return
        _, parser, rest = parser.resolve_command(context, left)
