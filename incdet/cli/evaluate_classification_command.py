"""`incdet evaluate-classification`: top-1 and top-5 accuracy, networks x crops."""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.options import (
    DATA,
    NETWORKS,
    RESULTS,
    ConfigFile,
    DeviceOption,
    Quiet,
    Settings,
    device_setting,
)

EXAMPLES = (
    "incdet evaluate-classification --root imagenet-sample --weights imagenet.safetensors",
    "incdet evaluate-classification --root val --labels LOC_val_solution.csv --weights imagenet.safetensors "
    "--crops 1 --crops 10",
)

Root = Annotated[
    Path,
    typer.Option(
        "--root", help="Photos named by their class, or in folders named by their class.", rich_help_panel=DATA
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="'<file> <class>' lines or LOC_val_solution.csv, for ILSVRC's val photos.",
        rich_help_panel=DATA,
    ),
]
Weights = Annotated[
    list[str],
    typer.Option("--weights", help="Weights; repeat the option for an ensemble.", rich_help_panel=NETWORKS),
]
Crops = Annotated[
    list[int] | None,
    typer.Option("--crops", help="1, 10 or 144; repeatable (default: 1).", rich_help_panel=NETWORKS),
]
ProbabilityCache = Annotated[
    Path, typer.Option("--cache", help="Folder that keeps probabilities.", rich_help_panel=DATA)
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the numbers to FILE, too.", rich_help_panel=RESULTS),
]


def evaluate_classification(
    root: Root,
    weights: Weights,
    crops: Crops = None,
    labels: Labels = None,
    cache: ProbabilityCache = Path(".cache/classification"),
    json_file: JsonFile = None,
    device: DeviceOption = None,
    config: ConfigFile = None,
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Classify photos with any number of networks and crops and print the accuracy of each combination as JSON."""
    from incdet.config.loading import load_config
    from incdet.config.sections import Config

    effective = load_config(Config, config, [*device_setting(device), *(settings or ())])
    from incdet.cli.console import notes, reporter, write_numbers
    from incdet.config.crop_counts import choose_crops
    from incdet.evaluation.classification_accuracy import measure_accuracy
    from incdet.evaluation.report import accuracy_table
    from incdet.runtime.files import require_writable_file

    numbers = choose_crops(crops or (1,))
    if json_file is not None and json_file != Path("-"):
        require_writable_file(json_file)
    accuracy = measure_accuracy(root, weights, numbers, labels, cache, effective, reporter(quiet))
    notes.print(accuracy_table(accuracy))
    text = accuracy.to_json() + "\n"
    write_numbers(Path("-"), text)
    if json_file != Path("-"):
        write_numbers(json_file, text)
