"""`incdet info`: the versions, devices and weights that are installed here."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from incdet.errors import ConfigurationError

EXAMPLES = ("incdet info --json", "incdet info --classes ilsvrc")

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


def info(as_json: AsJson = False, network: Network = None, classes: Classes = None) -> int:
    """Versions, devices, shipped weights, and whether OpenCV's selective search is there, too."""
    if network is not None and classes is not None:
        raise ConfigurationError("--network and --classes each print a table of their own; leave one of them out")
    if classes is not None:
        from incdet.output.class_table import show_ilsvrc_classes

        show_ilsvrc_classes(as_json)
        return 0
    if network is not None:
        from incdet.networks.architectures import check_network_name

        check_network_name(network)
        # torch is loaded once the name is known to be right
        from incdet.output.network_tables import show_networks

        show_networks(network, as_json)
        return 0
    import yaml

    from incdet.cli.installation import installation

    facts = installation()
    text = json.dumps(facts, indent=2) if as_json else yaml.safe_dump(facts, sort_keys=False, width=120).rstrip()
    print(text)
    return 0 if facts["weights"] else 3
