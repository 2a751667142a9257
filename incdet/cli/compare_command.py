"""`incdet compare`: how much better one run is than another, and how sure that is for other images."""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.options import SETTINGS, NumbersFile, Quiet

EXAMPLES = (
    "incdet compare runs/one runs/other",
    "incdet compare runs/one runs/other --samples 10000 --json difference.json",
)

First = Annotated[Path, typer.Argument(metavar="A", help="Output folder of an incdet evaluate run.")]
Second = Annotated[Path, typer.Argument(metavar="B", help="Output folder of another run over the same images.")]
Samples = Annotated[int, typer.Option("--samples", min=1, help="Resampled sets of images.", rich_help_panel=SETTINGS)]
ResamplingSeed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        help="Seed of the resampling; equal seeds give equal intervals.",
        rich_help_panel=SETTINGS,
    ),
]


def compare(
    first: First,
    second: Second,
    samples: Samples = 1000,
    seed: ResamplingSeed = 0,
    json_file: NumbersFile = None,
    quiet: Quiet = False,
) -> None:
    """Difference in mAP with its 95 % interval (paired bootstrap over images), and the classes each run wins."""
    from incdet.cli.console import progress_bar, table_console, write_numbers
    from incdet.evaluation.comparison import compare_evaluations
    from incdet.evaluation.report import comparison_table
    from incdet.evaluation.stored_evaluation import load_evaluation
    from incdet.runtime.json_files import json_text

    runs = load_evaluation(first), load_evaluation(second)
    with progress_bar("resampling", samples, quiet) as update:
        comparison = compare_evaluations(*runs, samples, seed, lambda done: update(done, ""))
    screen = table_console(json_file)
    screen.print(comparison_table(comparison, ("A", "B")))
    mean_a, mean_b = comparison.mean_average_precision
    low, high = comparison.interval
    screen.print(
        f"B - A: {mean_b - mean_a:+.4f} mAP, 95 % interval {low:+.4f} .. {high:+.4f}; B is better on "
        f"{comparison.share_better:.1%} of {samples} resampled sets of images (seed {seed})\n"
        f"classes won: A {comparison.wins[0]}, B {comparison.wins[1]}"
    )
    write_numbers(json_file, json_text(comparison.to_json()))
