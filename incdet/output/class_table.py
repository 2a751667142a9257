"""The 200 classes of ILSVRC's detection task as a table or as JSON."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from incdet.data.ilsvrc_classes import VOC_NAMES, ilsvrc_classes


def show_ilsvrc_classes(as_json: bool) -> None:
    """Prints the classes with their numbers in result files, their synsets and their names in PASCAL VOC.

    Args:
        as_json: whether as JSON, with the WordNet ids of all synsets, instead of as a table that counts them.
    """
    voc_names = {name: voc_name for voc_name, name in VOC_NAMES.items()}
    if as_json:
        rows = [asdict(kind) | {"voc_name": voc_names.get(kind.name)} for kind in ilsvrc_classes()]
        print(json.dumps(rows, indent=2))
        return
    table = Table(title="ILSVRC's detection task")
    table.add_column("number", justify="right")
    for heading in ("WordNet id", "class", "PASCAL VOC"):
        table.add_column(heading)
    table.add_column("synsets", justify="right")
    for kind in ilsvrc_classes():
        num_synsets = len(kind.synsets) + len(kind.similar)
        table.add_row(str(kind.number), kind.wordnet_id, kind.name, voc_names.get(kind.name, ""), str(num_synsets))
    Console().print(table)
