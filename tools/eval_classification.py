"""Top-1 and top-5 accuracy on photos of known classes: networks x crops, as the paper's table 3.

python tools/eval_classification.py --root imagenet-sample --weights runs/imagenet.safetensors --crops 10
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, cast

import numpy as np
import typer
from rich.table import Table

from incdet.classifier import KNOWN_CROPS, Classifier, NumCrops
from incdet.cli.console import notes, progress_bar, run_program
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.imagenet import LabelledPhotos, find_labelled_photos
from incdet.errors import ConfigurationError
from incdet.evaluation.top_k import top_k_accuracy
from incdet.images import read_image
from incdet.networks.weights import find_weights, sha256
from incdet.runtime.files import load_arrays, save_arrays, write_text

CHUNK = 50
"""Photos whose probabilities are stored together; an interrupted run loses no more."""

Row = dict[Literal["networks", "crops", "top1", "top5"], float]


def main(
    root: Annotated[Path, typer.Option(help="Photos named by their class, or in folders named by their class.")],
    weights: Annotated[list[str], typer.Option(help="Weights; repeat the option for an ensemble.")],
    crops: Annotated[list[int] | None, typer.Option(help="1, 10 or 144; repeatable (default: 1).")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="'<file> <class>' lines or LOC_val_solution.csv, for ILSVRC's val photos.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder that keeps probabilities.")] = Path(".cache/classification"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the configuration.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Classify photos with any number of networks and crops and print the accuracy of each combination as JSON."""
    if unknown := set(crops or ()) - set(KNOWN_CROPS):
        raise ConfigurationError(f"--crops is {min(unknown)}; expected 1, 10 or 144")
    config = load_config(Config, settings=settings or ())
    rows: list[Row] = []
    hashes = [sha256(find_weights(name)) for name in weights]
    for num_crops in sorted(set(crops or (1,))):
        classifier = Classifier.from_pretrained(*weights, num_crops=cast(NumCrops, num_crops), config=config)
        photos = find_labelled_photos(root, classifier.class_names, labels)
        probabilities = _probabilities(classifier, hashes, photos, cache, quiet)
        for networks in range(1, len(weights) + 1):
            mean = probabilities[:, :networks].mean(axis=1)
            accuracies = (round(top_k_accuracy(mean, photos.class_ids, k), 6) for k in (1, 5))
            rows.append(
                dict(zip(("networks", "crops", "top1", "top5"), (networks, num_crops, *accuracies), strict=True))
            )
    _report(rows, len(photos.paths), json_file)


def _probabilities(
    classifier: Classifier, networks: list[str], photos: LabelledPhotos, cache: Path, quiet: bool
) -> np.ndarray:
    """[N, M, C] float32, one row per photo and network, computed now or in an interrupted run.

    `networks` are the hashes of their weights.
    """
    settings = [classifier.num_crops, str(classifier.precision), *networks]
    files = [(str(path), path.stat().st_mtime_ns) for path in photos.paths]
    folder = cache / hashlib.sha256(json.dumps([settings, files]).encode()).hexdigest()[:16]
    parts = []
    with progress_bar(f"photos, {classifier.num_crops} crops", len(photos.paths), quiet) as update:
        for start in range(0, len(photos.paths), CHUNK):
            update(start, "")
            chunk = photos.paths[start : start + CHUNK]
            stored = load_arrays(folder / f"{start}.npz", "probabilities")
            if stored is None:
                stored = {"probabilities": _classify(classifier, chunk)}
                save_arrays(folder / f"{start}.npz", **stored)
            parts.append(stored["probabilities"])
        update(len(photos.paths), "")
    return np.concatenate(parts)


def _classify(classifier: Classifier, paths: Sequence[Path]) -> np.ndarray:
    images = (read_image(path, classifier.config.images) for path in paths)
    return np.stack([classifier.member_probabilities(image) for image in images])


def _report(rows: list[Row], num_photos: int, json_file: Path | None) -> None:
    table = Table(title=f"{num_photos} photos")
    for heading in ("networks", "crops", "cost", "top-1", "top-5"):
        table.add_column(heading, justify="right")
    for row in rows:
        cost = row["networks"] * row["crops"]
        cells = (row["networks"], row["crops"], cost, f"{row['top1']:.4f}", f"{row['top5']:.4f}")
        table.add_row(*map(str, cells))
    notes.print(table)
    # the last row is the whole ensemble with the most crops
    text = json.dumps({**rows[-1], "num_images": num_photos, "table": rows}) + "\n"
    if json_file is not None:
        write_text(json_file, text)
    print(text, end="")


if __name__ == "__main__":
    run_program(main)
