"""How much better run B is than run A, and how sure that is for other images.

python tools/compare_runs.py runs/one runs/other

A and B are --output folders of tools/eval_map.py over the same images.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from incdet.cli.console import notes, progress_bar, run_program
from incdet.evaluation.comparison import compare_evaluations
from incdet.evaluation.report import comparison_table
from incdet.evaluation.stored_evaluation import load_evaluation
from incdet.runtime.files import write_text


def main(
    first: Annotated[Path, typer.Argument(metavar="A", help="Output folder of a tools/eval_map.py run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Output folder of another run over the same images.")],
    samples: Annotated[int, typer.Option(min=1, help="Resampled sets of images.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling; equal seeds give equal intervals.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here; '-' is stdout.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Difference in mAP with its 95 % interval (paired bootstrap over images), and the classes each run wins."""
    runs = load_evaluation(first), load_evaluation(second)
    with progress_bar("resampling", samples, quiet) as update:
        comparison = compare_evaluations(*runs, samples, seed, lambda done: update(done, ""))
    screen = notes if json_file == Path("-") else Console(highlight=False)
    screen.print(comparison_table(comparison, ("A", "B")))
    (mean_a, mean_b), (low, high) = comparison.mean_average_precision, comparison.interval
    screen.print(
        f"B - A: {mean_b - mean_a:+.4f} mAP, 95 % interval {low:+.4f} .. {high:+.4f}; B is better on "
        f"{comparison.share_better:.1%} of {samples} resampled sets of images (seed {seed})\n"
        f"classes won: A {comparison.wins[0]}, B {comparison.wins[1]}"
    )
    text = json.dumps(comparison.to_json(), indent=2) + "\n"
    if json_file == Path("-"):
        sys.stdout.write(text)
    elif json_file is not None:
        write_text(json_file, text)


if __name__ == "__main__":
    run_program(main)
