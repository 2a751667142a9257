"""`incdet propose`: photos -> regions that may hold an object."""

from typing import Annotated

import typer

from incdet.cli.options import (
    RESULTS,
    ConfigFile,
    JsonLines,
    OutputFolder,
    Overwrite,
    Paths,
    QuietTable,
    Settings,
    Timing,
)

EXAMPLES = (
    "incdet propose photo.jpg --show-hierarchy",
    "incdet propose holiday/ --set proposals.selective_search.strategies=quality --json proposals.jsonl",
)

Save = Annotated[
    str | None,
    typer.Option(
        "--save",
        metavar="KINDS",
        help="Comma-separated: image,json,hierarchy (default: image,json).",
        rich_help_panel=RESULTS,
    ),
]
ShowHierarchy = Annotated[
    bool,
    typer.Option(
        "--show-hierarchy",
        help="Draw segmentations and how their regions merge, too.",
        rich_help_panel=RESULTS,
    ),
]


def propose(
    paths: Paths,
    output: OutputFolder = None,
    save: Save = None,
    show_hierarchy: ShowHierarchy = False,
    json_file: JsonLines = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    settings: Settings = None,
    timing: Timing = False,
    quiet: QuietTable = False,
) -> int:
    """Propose regions that may hold an object, best first, without classifying them."""
    from incdet.config.loading import load_config
    from incdet.config.sections import Config

    effective = load_config(Config, config, settings or ())
    from incdet.cli.photo_batch import OutputOptions
    from incdet.cli.proposal_batch import propose_in_photos

    options = OutputOptions(output, save, json_file, overwrite, timing, quiet)
    return propose_in_photos(paths, effective, options, show_hierarchy)
