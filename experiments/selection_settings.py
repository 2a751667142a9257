r"""What settings of the last stage bring, which selects detections among the classified regions.

    python experiments/selection_settings.py --root ILSVRC --split val1-here --cache shares
    python experiments/selection_settings.py --dataset voc --root VOC2012 --split val --run runs/default

Photos and stored outputs are those of `namer_shares.py`: interrupted, the same command goes on where it stopped, and
with outputs that are stored it takes seconds. Differences are from the first row, with the standard error of a paired
bootstrap over the photos.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from namer_shares import photos_of_voc, region_outputs, selected, some_photos
from paired_bootstrap import COLUMNS, compared_numbers, judge
from rich.table import Column, Table

from incdet.cli.console import run_program, table_console
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.collection import Collection

CHANGES = (
    "part_penalty=0 prominence_exponent=0",
    "part_penalty=0.25 prominence_exponent=0",
    "part_penalty=0.5 prominence_exponent=0",
    "part_penalty=0.75 prominence_exponent=0",
    "part_penalty=1 prominence_exponent=0",
    "prominence_exponent=0.05",
    "prominence_exponent=0.1",
    "prominence_exponent=0.2",
    "voting_iou=null",
    "voting_iou=0.4",
    "voting_iou=0.6",
    "iou_threshold=0.2",
    "iou_threshold=0.4",
)
"""Settings of the section `detections`; each row changes the defaults by its own."""


def main(
    root: Annotated[Path, typer.Option(help="Folder of the data set, in its official layout.")],
    split: Annotated[str, typer.Option(help="Photos that are judged.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder: ilsvrc or voc.")] = Collection.ilsvrc,
    cache: Annotated[Path, typer.Option(help="Folder that keeps the networks' outputs.")] = Path(".cache/shares"),
    run: Annotated[Path | None, typer.Option(help="Folder of `incdet evaluate --each-network --output`.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--change", help="Settings without their section, such as part_penalty=0.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Of the detector; repeatable.")] = None,
) -> None:
    """Prints a row for each change of a setting, on the photos with objects."""
    data, known = photos_of_voc(dataset, root, split)
    data = some_photos(data, np.array([row for row, truth in enumerate(data.ground_truths) if len(truth) > 0]))
    outputs = region_outputs(data, run, cache, load_config(Config, settings=settings or []))
    table = Table(Column("setting", overflow="fold"), *COLUMNS, title=f"{len(data)} photos of {data.name} with objects")
    judged = []
    for change in changes or CHANGES:
        changed = [f"detections.{setting}" for setting in change.split()]
        config = load_config(Config, settings=[*(settings or []), *changed])
        judged.append(judge(selected(data, outputs, config.detections, known), data))
        numbers = compared_numbers(judged[-1], judged[0])
        cells = [form.format(number) for form, number in zip(COLUMNS.values(), numbers, strict=True)]
        table.add_row(change, *cells)
    table_console(None).print(table)


if __name__ == "__main__":
    run_program(main)
