"""The options that choose a detector, for the commands that detect and serve. They load nothing."""

from typing import Annotated

import typer

from incdet.cli.completions import complete_weights
from incdet.cli.options import NETWORKS, RESULTS, EngineName, probability_text

ScoreThreshold = Annotated[
    float | None,
    typer.Option(
        "--score-threshold",
        metavar="X",
        parser=probability_text,
        help="Lowest score shown and saved (default: that of the weights, 0.45 for VOC's; 0.55 with the preset fast).",
        rich_help_panel=RESULTS,
    ),
]
Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="A,B", help="Look for these classes only.", rich_help_panel=RESULTS),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="NAME_OR_FILE",
        autocompletion=complete_weights,
        help="Other weights than the shipped, or the folder of a training; repeat the option for an ensemble.",
        rich_help_panel=NETWORKS,
    ),
]
Members = Annotated[
    int | None,
    typer.Option(
        "--members",
        metavar="N",
        help="Networks of the shipped ensemble that are averaged (default: all six; the preset fast has one).",
        rich_help_panel=NETWORKS,
    ),
]
Cascade = Annotated[
    bool,
    typer.Option(
        "--cascade",
        help="The first --weights are a rejection network: it picks the regions that the others classify.",
        rich_help_panel=NETWORKS,
    ),
]
Engine = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        help="Library that computes them (default: auto, OpenVINO on a CPU that has it).",
        rich_help_panel=NETWORKS,
    ),
]
