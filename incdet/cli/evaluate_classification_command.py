"""`incdet evaluate-classification`: top-1 and top-5 accuracy, networks x crops."""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.options import DATA, NETWORKS, RESULTS, Quiet, Settings, num_crops_of

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
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Classify photos with any number of networks and crops and print the accuracy of each combination as JSON."""
    from incdet.config.loading import load_config
    from incdet.config.sections import Config

    config = load_config(Config, settings=settings or ())
    from incdet.cli.console import notes, reporter, write_numbers
    from incdet.evaluation.classification_accuracy import measure_accuracy
    from incdet.evaluation.report import accuracy_table

    numbers = num_crops_of(crops or (1,))
    accuracy = measure_accuracy(root, weights, numbers, labels, cache, config, reporter(quiet))
    notes.print(accuracy_table(accuracy))
    text = accuracy.to_json() + "\n"
    write_numbers(Path("-"), text)
    if json_file != Path("-"):
        write_numbers(json_file, text)
