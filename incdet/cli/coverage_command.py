"""`incdet coverage`: how well proposals cover the objects of a data set, and how long they take.

Proposals are kept in --cache, so an interrupted run goes on where it stopped.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.options import (
    DATA,
    RESULTS,
    SETTINGS,
    Cache,
    ConfigFile,
    DatasetLayout,
    DatasetRoot,
    DeviceOption,
    NumbersFile,
    PresetOption,
    Quiet,
    Settings,
    Split,
    device_setting,
    preset_setting,
)

EXAMPLES = (
    "incdet coverage --dataset voc --root VOCdevkit/VOC2012 --split val --method merged",
    "incdet coverage --dataset voc --root VOCdevkit/VOC2012 --limit 100 --json new.json --beside old.json",
)


class Method(StrEnum):
    """Proposers."""

    selective_search = "selective-search"
    multibox = "multibox"
    merged = "merged"
    priors = "priors"


MethodOption = Annotated[
    Method,
    typer.Option(
        "--method",
        help="Proposer; 'merged' is what a detector gets, 'priors' are the centres of 200 clusters of the boxes of "
        "the split 'train', the same for every photo.",
        rich_help_panel=SETTINGS,
    ),
]
SuperpixelScale = Annotated[
    float | None,
    typer.Option(
        "--superpixel-scale",
        help="1 is R-CNN's selective search, 2 GoogLeNet's (default).",
        rich_help_panel=SETTINGS,
    ),
]
Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="A,B", help="Judge by the objects of these classes only.", rich_help_panel=DATA),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Only the first N photos of the split.", rich_help_panel=DATA),
]
Beside = Annotated[
    list[Path] | None,
    typer.Option(
        "--beside",
        help="An earlier run's --json, drawn beside this run's curve; repeatable.",
        rich_help_panel=RESULTS,
    ),
]
CurvesFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder for the curves.", rich_help_panel=RESULTS)]


def coverage(
    dataset: DatasetLayout,
    root: DatasetRoot,
    split: Split = "val",
    classes: Classes = None,
    limit: Limit = None,
    cache: Cache = Path(".cache"),
    output: CurvesFolder = Path("runs/proposal_coverage"),
    json_file: NumbersFile = None,
    beside: Beside = None,
    method: MethodOption = Method.selective_search,
    superpixel_scale: SuperpixelScale = None,
    device: DeviceOption = None,
    preset: PresetOption = None,
    config: ConfigFile = None,
    settings: Settings = None,
    quiet: Quiet = False,
) -> int:
    """Share of a data set's objects that proposals cover: at IoU 0.5, on average from 0.5 to 1, by size and number."""
    from incdet.cli.coverage_job import CoverageJob

    job = CoverageJob(
        collection=dataset,
        root=root,
        split=split,
        classes=classes,
        limit=limit,
        cache=cache,
        output=output,
        json_file=json_file,
        beside=tuple(beside or ()),
        method=method.value,
        superpixel_scale=superpixel_scale,
        config=config,
        settings=(*preset_setting(preset), *device_setting(device), *(settings or ())),
        quiet=quiet,
    )
    return job.run()
