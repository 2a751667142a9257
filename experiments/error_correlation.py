r"""How alike the errors of an ensemble's networks are, which decides what their mean can bring.

    incdet evaluate --dataset voc --root VOC2012 --split val --preset paper --each-network --output runs/paper
    python experiments/error_correlation.py --dataset voc --root VOC2012 --split val --run runs/paper

A region's truth is the class of the object that it overlaps most, by 0.5 or more, and else the background. A network's
error is one minus its probability of the truth. Regions count that overlap an object, or of which a network is sure by
0.1 or more that they show one; all other regions are background to everybody. Behind a rejection network, members
count for the regions that reached them.

Networks whose errors have the variance v and the correlation c have a mean whose error has the variance
v (c + (1 - c) / M): with six of them and a correlation of 0.8, five sixths are left.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from namer_shares import ensemble_of_run, scores_of_run
from rich.table import Table

from incdet.cli.console import progress_bar, run_program, table_console, warning
from incdet.data.collection import Collection
from incdet.data.readers import read_dataset
from incdet.errors import DataError
from incdet.ops.boxes import box_iou
from incdet.structures import GroundTruth, RegionScores

OVERLAP = 0.5
"""Smallest Jaccard index at which a region shows an object."""

SURE = 0.1
"""Probability from which on a network finds an object in a region."""


def main(
    root: Annotated[Path, typer.Option(help="Folder of the data set, in its official layout.")],
    split: Annotated[str, typer.Option(help="Photos that were evaluated.")],
    run: Annotated[Path, typer.Option(help="Folder of `incdet evaluate --each-network --output`.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
) -> None:
    """Prints a row for each network: its mean squared error, and the correlation of its errors with those of all."""
    data = read_dataset(dataset, root, split, warn=warning)
    names = networks_of(run)
    errors = []
    with progress_bar("photos", len(data), False) as update:
        for number, (image, scores) in enumerate(scores_of_run(data, run)):
            update(number, image.name)
            errors.append(errors_of(scores, data.ground_truths[number], names))
        update(len(data), "")
    all_errors = np.concatenate(errors, axis=1)
    if len(names) < 2 or all_errors.shape[1] < 2:
        raise DataError(f"{run} has no two networks with regions that can be compared; evaluate an ensemble")
    table_console(None).print(_table(names, all_errors, len(data)))


def networks_of(run: Path) -> list[str]:
    """Returns the names of an evaluation's networks in the order of their region scores, without a namer, the last."""
    ensemble = ensemble_of_run(run)
    first = [] if ensemble["rejection_network"] is None else ["rejection network"]
    return [*first, *(f"member {number + 1}" for number in range(len(ensemble["members"])))]


def errors_of(scores: RegionScores, truth: GroundTruth, names: list[str]) -> np.ndarray:
    """Returns the errors of each network at the regions of a photo that count.

    Args:
        scores: outputs of R regions, with those of each network.
        truth: the objects of the photo.
        names: names of the M networks that are compared. Where a region did not reach the members, their outputs are
            those of the rejection network, and it does not count.

    Returns:
        [M, N] float64 in [0, 1].
    """
    assert scores.by_network is not None
    by_network = scores.by_network[: len(names)].astype(np.float64)
    overlaps = np.concatenate([box_iou(scores.boxes, truth.boxes), np.zeros((len(scores), 1))], axis=1)
    nearest = overlaps.argmax(axis=1)
    shows = overlaps.max(axis=1) >= OVERLAP
    counts = shows | (by_network.max(axis=(0, 2)) >= SURE)
    if names[0] == "rejection network":
        counts &= (by_network[1:] != by_network[:1]).any(axis=(0, 2))
    class_ids = np.append(truth.class_ids, 0)[nearest]
    of_class = by_network[:, np.arange(len(scores)), class_ids]
    of_truth = np.where(shows, of_class, 1 - by_network.sum(axis=2))
    return 1 - of_truth[:, counts]


def _table(names: list[str], errors: np.ndarray, num_photos: int) -> Table:
    correlations = np.corrcoef(errors)
    mean = errors.mean(axis=0)
    left = mean.var() / errors.var(axis=1).mean()
    table = Table("", "network", "squared error", *(str(number + 1) for number in range(len(names))))
    table.title = (
        f"{errors.shape[1]:,} regions of {num_photos} photos; mean correlation "
        f"{correlations[~np.eye(len(names), dtype=bool)].mean():.3f}; "
        f"variance of the mean's error {left:.3f} of a network's"
    )
    for row, name in enumerate(names):
        cells = [f"{value:.2f}" for value in correlations[row]]
        table.add_row(str(row + 1), name, f"{(errors[row] ** 2).mean():.3f}", *cells)
    table.add_row("", "their mean", f"{(mean**2).mean():.3f}")
    return table


if __name__ == "__main__":
    run_program(main)
