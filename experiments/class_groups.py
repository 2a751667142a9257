"""mAP of stored evaluations over VOC's classes and over the others, with intervals; and pooled AP.

    incdet evaluate --dataset ilsvrc --root ILSVRC --split val2 --weights ilsvrc200 --output runs/val2
    python experiments/class_groups.py runs/val2

The classes are those that VOC and ILSVRC both have, under the names of either, and the rest. Intervals are the middle
95 % over 1000 resampled sets of photos, drawn as by `incdet evaluate --interval`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from incdet.cli.console import run_program, table_console
from incdet.data.ilsvrc_classes import VOC_NAMES
from incdet.evaluation.comparison import bootstrap_interval, weighted_average_precision
from incdet.evaluation.rules import IGNORED, TRUE
from incdet.evaluation.stored_evaluation import FILE_NAME, RankedClass, StoredEvaluation, load_evaluation
from incdet.runtime.files import load_arrays

NUM_SAMPLES = 1000


def main(reports: Annotated[list[Path], typer.Argument(help="Folders of `incdet evaluate --output`.")]) -> None:
    """Prints a table for each evaluation."""
    for folder in reports:
        stored = load_evaluation(folder)
        names = np.array(stored.class_names)
        is_common = np.isin(names, list(VOC_NAMES) if "aeroplane" in names else list(VOC_NAMES.values()))
        table = Table("classes", "with objects", "AP", "interval", title=f"{folder}: {stored.num_images} photos")
        groups = {"all": np.ones(len(names), bool), "of VOC and ILSVRC": is_common, "others": ~is_common}
        for name, is_chosen in groups.items():
            group = of_classes(stored, np.flatnonzero(is_chosen))
            has_objects = ~np.isnan(group.average_precision)
            if has_objects.any():
                mean = float(group.average_precision[has_objects].mean())
                low, high = bootstrap_interval(group, NUM_SAMPLES)
                table.add_row(f"{name}, mean", str(has_objects.sum()), f"{mean:.4f}", f"{low:.4f} .. {high:.4f}")
            precision, low, high = pooled_interval(folder, stored, np.flatnonzero(is_chosen))
            table.add_row(f"{name}, pooled", "", f"{precision:.4f}", f"{low:.4f} .. {high:.4f}")
        table_console(None).print(table)


def of_classes(stored: StoredEvaluation, class_ids: np.ndarray) -> StoredEvaluation:
    """Returns the evaluation of some of the classes [K] int64."""
    return replace(
        stored,
        class_names=tuple(stored.class_names[class_id] for class_id in class_ids),
        classes=tuple(stored.classes[class_id] for class_id in class_ids),
        average_precision=stored.average_precision[class_ids],
    )


def pooled_interval(folder: Path, stored: StoredEvaluation, class_ids: np.ndarray) -> tuple[float, float, float]:
    """Returns the AP of the detections of some classes in one ranked list, and the ends of its interval."""
    arrays = load_arrays(folder / FILE_NAME, "scores", "verdicts", "detection_images", "detection_classes")
    assert arrays is not None
    order = np.argsort(-arrays["scores"], kind="stable")
    is_counted = (arrays["verdicts"] != IGNORED) & np.isin(arrays["detection_classes"], class_ids)
    rows = order[is_counted[order]]
    objects = arrays["object_images"][np.isin(arrays["object_classes"], class_ids)]
    pooled = RankedClass(arrays["detection_images"][rows], arrays["verdicts"][rows] == TRUE, objects)
    whole = np.ones((1, stored.num_images), np.int64)
    precision = float(weighted_average_precision(pooled, whole, stored.rules)[0])
    weights = np.random.default_rng(0).multinomial(stored.num_images, whole[0] / stored.num_images, NUM_SAMPLES)
    values = weighted_average_precision(pooled, weights, stored.rules)
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return precision, float(low), float(high)


if __name__ == "__main__":
    run_program(main)
