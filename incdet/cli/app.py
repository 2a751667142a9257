"""The command line: every command is registered here and lives in a file of its own.

Those files load nothing but their options until a command runs, so that `--help` answers at once. Machine output goes
to stdout, the rest to stderr.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from incdet.cli import (
    classify_command,
    compare_command,
    config_command,
    coverage_command,
    detect_command,
    evaluate_classification_command,
    evaluate_command,
    export_command,
    info_command,
    propose_command,
    serve_command,
    train_command,
    weights_command,
)
from incdet.cli.console import call_with_sentence, warning
from incdet.cli.old_options import CommandWithOldOptions
from incdet.cli.options import examples

DETECT, EVALUATE, TRAIN, ABOUT = "Detect", "Evaluate", "Train", "About"
"""Titles of the panels in which `incdet --help` groups commands."""

COMMANDS: tuple[tuple[str, Callable[..., Any], str, tuple[str, ...]], ...] = (
    ("detect", detect_command.detect, DETECT, detect_command.EXAMPLES),
    ("propose", propose_command.propose, DETECT, propose_command.EXAMPLES),
    ("classify", classify_command.classify, DETECT, classify_command.EXAMPLES),
    ("serve", serve_command.serve, DETECT, serve_command.EXAMPLES),
    ("evaluate", evaluate_command.evaluate, EVALUATE, evaluate_command.EXAMPLES),
    ("coverage", coverage_command.coverage, EVALUATE, coverage_command.EXAMPLES),
    ("compare", compare_command.compare, EVALUATE, compare_command.EXAMPLES),
    (
        "evaluate-classification",
        evaluate_classification_command.evaluate_classification,
        EVALUATE,
        evaluate_classification_command.EXAMPLES,
    ),
    ("export", export_command.export, TRAIN, export_command.EXAMPLES),
    ("config", config_command.config, ABOUT, config_command.EXAMPLES),
    ("info", info_command.info, ABOUT, info_command.EXAMPLES),
)
"""Name, function, panel and examples of every command that has no sub-commands."""

ORDER = (
    *("detect", "propose", "classify", "serve"),
    *("evaluate", "coverage", "compare", "evaluate-classification"),
    *("train", "weights", "export"),
    *("config", "info"),
)
"""The commands as `--help` lists them, panel by panel."""


class OrderedGroup(TyperGroup):
    """The commands in the order of a first visit, which typer would change: groups of commands come last there."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order in which `--help` shows them."""
        places = {name: place for place, name in enumerate(ORDER)}
        return sorted(super().list_commands(ctx), key=lambda name: places[name])


app = typer.Typer(
    cls=OrderedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Finds objects in photos as the system that won ILSVRC 2014: selective search, GoogLeNet, per-class NMS.",
)

for _name, _function, _panel, _examples in COMMANDS:
    app.command(_name, cls=CommandWithOldOptions, rich_help_panel=_panel, epilog=examples(*_examples))(_function)
app.add_typer(
    train_command.app,
    name="train",
    rich_help_panel=TRAIN,
    help="Train networks as a recipe says; interrupted, the same command goes on where it stopped.",
)
app.add_typer(
    weights_command.app,
    name="weights",
    rich_help_panel=TRAIN,
    help="Import weights of others, make files smaller, and fit what belongs beside them.",
)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from incdet import __version__

        print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the `incdet` program."""
    call_with_sentence(app)


def run_old_program(name: str, *command: str, stays: bool = False) -> None:
    """Runs a command under the name of the program in tools/ that it was.

    Args:
        name: Name of the program.
        command: Words of the command.
        stays: Whether the program keeps its name; the others go in version 0.3 and say so.
    """
    if not stays:
        warning(f"tools/{name} is now incdet {' '.join(command)}; the old name goes in 0.3")
    # the old programs took this word, too; it is the default
    arguments = [argument for argument in sys.argv[1:] if argument != "--no-quiet"]
    call_with_sentence(app, [*command, *arguments], "incdet")


if __name__ == "__main__":
    main()
