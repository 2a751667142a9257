"""Options that were renamed: their old names work for one version more, with a note, and no help shows them."""

from collections.abc import Mapping
from typing import Any

from typer.core import TyperCommand

from incdet.cli.console import warning

OLD_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "evaluate": {"--detector": "--weights", "--classes": "--class-map"},
    "import": {"--classes": "--class-list"},
}
"""Name of a command -> new name of each option by its old one."""

OLD_POSITIONS: Mapping[str, str] = {"quantize": "--output"}
"""Name of a command -> option that was its second argument."""


class CommandWithOldOptions(TyperCommand):
    """A command that takes the old names of its options, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments after old names have become new ones."""
        return super().parse_args(ctx, with_new_names(self.name or "", args))


def with_new_names(command: str, arguments: list[str]) -> list[str]:
    """Returns the arguments of a command with new names for old ones, and notes every one that it finds.

    >>> with_new_names("detect", ["photo.jpg", "--classes", "cat"])
    ['photo.jpg', '--classes', 'cat']
    """
    renamed: list[str] = []
    for argument in arguments:
        old, equals, value = argument.partition("=")
        new = OLD_OPTIONS.get(command, {}).get(old)
        if new is not None:
            warning(f"{old} is now called {new}; the old name goes in 0.3")
            argument = f"{new}{equals}{value}"
        renamed.append(argument)
    option = OLD_POSITIONS.get(command)
    if option is not None and len(renamed) > 1 and not renamed[0].startswith("-") and not renamed[1].startswith("-"):
        warning(f"the second argument is now given with {option}; the old form goes in 0.3")
        renamed.insert(1, option)
    return renamed
