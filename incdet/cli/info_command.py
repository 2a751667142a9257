"""`incdet info`: the versions, devices and weights that are installed here."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from incdet.errors import ConfigurationError

EXAMPLES = ("incdet info --presets --time photo.jpg", "incdet info --classes ilsvrc")

AsJson = Annotated[bool, typer.Option("--json", help="As JSON on stdout.")]
Network = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="Instead: Table 1 of the paper, computed for this network; 'all' lists them.",
    ),
]


class ClassTable(StrEnum):
    """Tables of classes that the package has."""

    ilsvrc = "ilsvrc"


Classes = Annotated[
    ClassTable | None,
    typer.Option("--classes", help="Instead: the 200 classes of ILSVRC's detection task and their synsets."),
]
Presets = Annotated[
    bool, typer.Option("--presets", help="Instead: what each preset does, its mAP where it was measured.")
]
TimedPhoto = Annotated[
    Path | None,
    typer.Option(
        "--time",
        metavar="PHOTO",
        help="With --presets: also the seconds of each on this machine, for this photo; paper takes minutes.",
    ),
]


def info(
    as_json: AsJson = False,
    network: Network = None,
    classes: Classes = None,
    presets: Presets = False,
    timed_photo: TimedPhoto = None,
) -> int:
    """Versions, devices, shipped weights, and whether OpenCV's selective search is there, too."""
    if (network is not None) + (classes is not None) + presets > 1:
        raise ConfigurationError(
            "--network, --classes and --presets each print a table of their own; leave all of them but one out"
        )
    if timed_photo is not None and not presets:
        raise ConfigurationError("--time belongs to --presets; add it")
    if classes is not None:
        from incdet.output.class_table import show_ilsvrc_classes

        show_ilsvrc_classes(as_json)
        return 0
    if network is not None:
        _show_network(network, as_json)
        return 0
    if presets:
        _show_presets(timed_photo, as_json)
        return 0
    import yaml

    from incdet.cli.installation import installation

    facts = installation()
    text = json.dumps(facts, indent=2) if as_json else yaml.safe_dump(facts, sort_keys=False, width=120).rstrip()
    print(text)
    return 0 if facts["weights"] else 3


def _show_network(network: str, as_json: bool) -> None:
    """Prints a table about one network, or about all of them."""
    from incdet.networks.architectures import check_network_name

    check_network_name(network)
    # torch is loaded once the name is known to be right
    from incdet.output.network_tables import show_networks

    show_networks(network, as_json)


def _show_presets(timed_photo: Path | None, as_json: bool) -> None:
    """Prints the table of presets; the photo, where there is one, is timed with each of them before."""
    from rich.console import Console

    from incdet.cli.console import reporter
    from incdet.output.preset_table import preset_json, preset_table

    timed = {}
    if timed_photo is not None:
        from incdet.cli.preset_timing import time_presets

        timed = time_presets(timed_photo, reporter())
    if as_json:
        print(json.dumps(preset_json(timed), indent=2))
    else:
        Console().print(preset_table(timed))
