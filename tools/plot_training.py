"""The curves of one or more trainings as a picture.

python tools/plot_training.py runs/multibox_voc runs/other --output curves.png
"""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.console import notes, run_program
from incdet.runtime.files import atomic_file
from incdet.training.run_log import read_curves
from incdet.training.run_plots import training_plot


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    output: Annotated[Path, typer.Option(help="Where the picture goes (PNG).")] = Path("training.png"),
) -> None:
    """Draw losses and validations over the steps, of runs that are over or still going on."""
    picture = training_plot({str(folder): read_curves(folder) for folder in folders})
    with atomic_file(output) as stream:
        stream.write(picture)
    notes.print(f"wrote {output}", markup=False)


if __name__ == "__main__":
    run_program(main)
