"""What the namer of the default detector brings: its weight in the mean of class probabilities, on ILSVRC's photos.

    python experiments/namer_shares.py --root ILSVRC --split val1-here --cache shares

Photos of ILSVRC DET are clean for weights that were trained on VOC's: no training has seen them. 19 of VOC's classes
have classes of ILSVRC that mean the same; see `display_thresholds.py`. The detector classifies every photo once, and
its outputs are stored: interrupted, the same command goes on where it stopped. Differences are from the detector
without a namer, with the standard error of a paired bootstrap over the photos.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from display_thresholds import SAME_CLASSES, THRESHOLDS, with_classes_of_voc
from paired_bootstrap import COLUMNS, compared_numbers, judge
from rich.table import Table

from incdet.cli.console import notes, progress_bar, run_program, table_console, warning
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.collection import Collection
from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.data.voc import VOC_CLASSES
from incdet.detections import Detections, select_detections
from incdet.detector import Detector
from incdet.evaluation.average_precision import evaluate_detections
from incdet.evaluation.operating_points import operating_points
from incdet.images import read_image
from incdet.pipeline.renaming import NAMER_SHARE
from incdet.runtime.files import load_arrays, save_arrays
from incdet.structures import Image, RegionScores

SHARES = (0.0, 0.2, NAMER_SHARE, 0.5)
"""Weights of the namer; without weight, there is none."""


def main(
    root: Annotated[Path, typer.Option(help="Folder of ILSVRC's detection task.")],
    split: Annotated[str, typer.Option(help="Photos that are judged.")],
    cache: Annotated[Path, typer.Option(help="Folder that keeps the networks' outputs.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Of the detector; repeatable.")] = None,
) -> None:
    """Prints a row for each weight, on the photos with objects, and F1 of the shipped weight on all photos."""
    data = with_classes_of_voc(read_dataset(Collection.ilsvrc, root, split, warn=warning))
    outputs = list(stored_outputs(data, cache, load_config(Config, settings=settings or [])))
    has_objects = np.array([len(truth) > 0 for truth in data.ground_truths])
    table = Table("weight of the namer", *COLUMNS, title=f"{has_objects.sum()} photos of {data.name} with objects")
    part = some_photos(data, np.flatnonzero(has_objects))
    judged = {}
    for share in SHARES:
        found = detections(data, outputs, share)
        judged[share] = judge([one for one, counts in zip(found, has_objects, strict=True) if counts], part)
        numbers = compared_numbers(judged[share], judged[SHARES[0]])
        table.add_row(
            f"{share:.2f}", *(form.format(number) for form, number in zip(COLUMNS.values(), numbers, strict=True))
        )
    table_console(None).print(table)
    evaluation = evaluate_detections(data.class_names, data.ground_truths, detections(data, outputs, NAMER_SHARE))
    for point in operating_points(evaluation, THRESHOLDS):
        both = point.num_detections + point.num_objects
        f1 = 2 * point.num_right / both if both else float("nan")
        words = f"precision {point.precision:.3f}, recall {point.recall:.3f}, F1 {f1:.3f}"
        notes.print(f"all {len(data)} photos, from {point.score_threshold:g} on: {words}", markup=False)


def some_photos(data: Dataset, rows: np.ndarray) -> Dataset:
    """Returns some photos of a data set."""
    paths, truths, ids = data.image_paths, data.ground_truths, data.image_ids
    return replace(
        data,
        image_paths=tuple(paths[row] for row in rows),
        ground_truths=tuple(truths[row] for row in rows),
        image_ids=tuple(ids[row] for row in rows),
    )


def stored_outputs(data: Dataset, cache: Path, config: Config) -> Iterator[tuple[Image, RegionScores]]:
    """Yields each photo and its region scores, those of an earlier run where there are some."""
    detector = Detector.from_pretrained(config=config)
    names = ("boxes", "probabilities", "by_network")
    with progress_bar("photos", len(data), False) as update:
        for number, path in enumerate(data.image_paths):
            update(number, path.name)
            image, file = read_image(path), cache / f"{path.stem}.npz"
            arrays = load_arrays(file, *names)
            if arrays is None:
                scores = detector.score(image, detector.propose(image))
                arrays = {name: getattr(scores, name) for name in names}
                save_arrays(file, **arrays)
            yield image, RegionScores(*(arrays[name] for name in names))


def detections(data: Dataset, outputs: list[tuple[Image, RegionScores]], share: float) -> list[Detections]:
    """Selects the detections of each photo under a weight of the namer, of classes that both collections have."""
    known = np.isin(VOC_CLASSES, list(SAME_CLASSES.values()))
    found = []
    for (image, scores), truth in zip(outputs, data.ground_truths, strict=True):
        assert scores.by_network is not None
        # the last row is the namer's, which has the shipped weight in the probabilities
        renamed = scores.by_network[-1]
        without = (scores.probabilities - NAMER_SHARE * renamed) / (1 - NAMER_SHARE)
        probabilities = ((1 - share) * without + share * renamed) * known
        shared = RegionScores(scores.boxes, probabilities.astype(np.float32).clip(0, 1))
        entry = select_detections(shared, image, VOC_CLASSES, Config().detections)
        found.append(entry.rescaled(truth.width, truth.height))
    return found


if __name__ == "__main__":
    run_program(main)
