"""Helpers of the tests of the command line: few proposals, the sentence of an error, the program as a process."""

import subprocess
import sys

FEW = ("--set", "proposals.limit=24", "--set", "proposals.methods=[selective_search]")
"""Settings with which a photo takes a fraction of a second."""

ONE = (*FEW, "--members", "1")
"""The same for `incdet detect`, with one network of the ensemble."""


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
