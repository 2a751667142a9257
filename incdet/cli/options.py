"""The options that several commands have in common. They load nothing, so that `--help` answers at once."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from incdet.config.near_names import nearest_names
from incdet.data.collection import Collection

RESULTS, NETWORKS, SETTINGS, DATA, SCREEN = "Results", "Networks", "Settings", "Data", "Screen"
"""Titles of the panels in which `--help` groups options."""


class Device(StrEnum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineName(StrEnum):
    """Library that computes networks."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"


class PresetChoice(StrEnum):
    """Named sets of settings, as in `incdet.config.presets`, which a test compares."""

    paper = "paper"
    default = "default"
    fast = "fast"


def existing_text(text: str) -> Path:
    """A folder from the command line; an empty text would be the current folder, which nobody means by it."""
    if not text:
        raise typer.BadParameter("the path is empty; give a folder")
    return Path(text)


def refuse_nan(value: float) -> float:
    """Returns a number from the command line, which is a number: NaN would pass every comparison with a limit."""
    if math.isnan(value):
        raise typer.BadParameter("nan is no number")
    return value


def place_text(text: str) -> str:
    """A folder or an address from the command line, as it was written: a path would lose a slash of an address."""
    return text if "://" in text else str(existing_text(text))


def preset_text(text: str) -> PresetChoice:
    """A preset from the command line, by its name."""
    names = [choice.value for choice in PresetChoice]
    if text in names:
        return PresetChoice(text)
    near = nearest_names(text, names)
    hint = f"did you mean '{near[0]}'?" if near else f"give one of {', '.join(names)}"
    raise typer.BadParameter(f"there is no preset '{text}'; {hint}")


def complete_preset(incomplete: str) -> list[str]:
    """The presets whose names begin like this, for the shell."""
    return [choice.value for choice in PresetChoice if choice.value.startswith(incomplete)]


def probability_text(text: str) -> float:
    """A probability from the command line.

    >>> probability_text("0.3")
    0.3
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # a comparison with "not a number" is false, too
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"it is '{text}'; give a number from 0 to 1")
    return value


def device_setting(device: Device | None) -> list[str]:
    """The setting that `--device` stands for; none where it was not given."""
    return [] if device is None else [f"device={device.value}"]


def preset_setting(preset: PresetChoice | None) -> list[str]:
    """The setting that `--preset` stands for; none where it was not given."""
    return [] if preset is None else [f"preset={preset.value}"]


def examples(*commands: str) -> str:
    """The examples below a command's help.

    >>> examples("incdet info", "incdet info --json").splitlines()
    ['Examples:', '', '$ incdet info', '', '$ incdet info --json']
    """
    return "\n\n".join(["Examples:", *(f"$ {command}" for command in commands)])


# photos and their results: detect, propose, classify
Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...", help="Photos, folders of photos, or glob patterns; '-' is a photo on standard input."
    ),
]
OutputFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        parser=existing_text,
        help="Folder for the results (default: incdet-output).",
        rich_help_panel=RESULTS,
    ),
]
OutputPlace = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        parser=place_text,
        help="Folder for the results (default: incdet-output); with --cluster also an address.",
        rich_help_panel=RESULTS,
    ),
]
JsonLines = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write JSON lines to FILE too; '-' is stdout. Alone, it is all that is written.",
        rich_help_panel=RESULTS,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an earlier result in the output folder.", rich_help_panel=RESULTS),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option("--device", help="Where the networks run (default: auto).", rich_help_panel=NETWORKS),
]
Timing = Annotated[
    bool,
    typer.Option("--timing", help="Seconds per stage and peak memory, also in the JSON.", rich_help_panel=SCREEN),
]
QuietTable = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no table; errors only.", rich_help_panel=SCREEN)
]

# every command with a detector
PresetOption = Annotated[
    PresetChoice | None,
    typer.Option(
        "--preset",
        metavar="[paper|default|fast]",
        parser=preset_text,
        autocompletion=complete_preset,
        help="Named set of settings, over which all others win; incdet info --presets compares them "
        "(default: default).",
        rich_help_panel=SETTINGS,
    ),
]

# every command
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration in YAML.", rich_help_panel=SETTINGS),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting, which wins over the file and other options: detections.iou_threshold=0.4; repeatable.",
        rich_help_panel=SETTINGS,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.", rich_help_panel=SCREEN)]
NumbersFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the numbers to FILE; '-' is stdout.", rich_help_panel=RESULTS),
]

# annotated data sets: evaluate, coverage, weights
DatasetLayout = Annotated[Collection, typer.Option("--dataset", help="Layout of the folder.", rich_help_panel=DATA)]
DatasetRoot = Annotated[
    Path,
    typer.Option("--root", help="The data set's folder, in its official layout.", rich_help_panel=DATA),
]
Split = Annotated[
    str,
    typer.Option(
        "--split",
        help="Name of the split, such as val; for ilsvrc also a FILE of images.",
        rich_help_panel=DATA,
    ),
]
TrainingSplit = Annotated[
    str, typer.Option("--split", help="Photos that are not used to evaluate.", rich_help_panel=DATA)
]
Cache = Annotated[
    Path,
    typer.Option("--cache", help="Folder that keeps proposals and parsed annotations.", rich_help_panel=DATA),
]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, help="Seed of whatever is drawn at random.", rich_help_panel=SETTINGS),
]
