"""A contact sheet of training crops: what the classifier's distortions make of a photo.

python experiments/show_distortions.py photo.jpg --output sheet.jpg
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from incdet.cli.console import notes, run_program
from incdet.config.loading import load_config
from incdet.images import read_image
from incdet.runtime.picture_files import save_picture
from incdet.training.samples.distortions import DistortionsConfig, distorted_crop


def main(
    photo: Annotated[Path, typer.Argument(help="The photo.")],
    output: Annotated[Path, typer.Option(help="The picture (JPEG).")] = Path("distortions.jpg"),
    rows: Annotated[int, typer.Option(min=1, max=20)] = 4,
    columns: Annotated[int, typer.Option(min=1, max=20)] = 8,
    size: Annotated[int, typer.Option(min=16, max=512, help="Side of each crop in pixels.")] = 160,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the distortions, such as photometric=0; repeatable.")
    ] = None,
) -> None:
    """Draw rows x columns training crops of a photo."""
    config = load_config(DistortionsConfig, settings=settings or ())
    pixels, generator = read_image(photo).pixels, np.random.default_rng(seed)
    distorted = [distorted_crop(pixels, size, config, generator) for _ in range(rows * columns)]
    crops = [np.clip(np.round(crop + noise), 0, 255).astype(np.uint8) for crop, noise in distorted]
    lines = (np.concatenate(crops[start : start + columns], axis=1) for start in range(0, len(crops), columns))
    save_picture(output, np.concatenate(list(lines)))
    notes.print(f"wrote {output}", markup=False)


if __name__ == "__main__":
    run_program(main)
