r"""What the namer of the default detector brings: its weight in the mean of class probabilities.

    python experiments/namer_shares.py --root ILSVRC --split val1-here --cache shares
    incdet evaluate --dataset voc --root VOC2012 --split val --each-network --output runs/default
    python experiments/namer_shares.py --dataset voc --root VOC2012 --split val --run runs/default \
        --share 0 --share 0.3333

Photos of ILSVRC DET are clean for weights that were trained on VOC's: no training has seen them. 19 of VOC's classes
have classes of ILSVRC that mean the same; see `display_thresholds.py`. The detector classifies every photo once, and
its outputs are stored: interrupted, the same command goes on where it stopped. Outputs that an evaluation has stored
serve, too. Whatever the weight, the scene counts as the settings say (`scores.scene_exponent`), so that without weight
the namer names nothing and still sees the whole photo. Differences are from the first weight, with the standard error
of a paired bootstrap over the photos.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from display_thresholds import SAME_CLASSES, THRESHOLDS, with_classes_of_voc
from paired_bootstrap import COLUMNS, compared_numbers, judge
from rich.table import Table

from incdet.cli.console import notes, progress_bar, run_program, table_console, warning
from incdet.config.loading import load_config
from incdet.config.sections import Config, DetectionsConfig
from incdet.data.collection import Collection
from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.data.voc import VOC_CLASSES
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.errors import ConfigurationError, DataError
from incdet.evaluation.average_precision import evaluate_detections
from incdet.evaluation.operating_points import operating_points
from incdet.images import read_image
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.proposal_cache import image_key
from incdet.pipeline.renaming import NAMER_SHARE
from incdet.runtime.files import load_arrays, save_arrays
from incdet.structures import Image, RegionScores

SHARES = (0.0, 0.2, NAMER_SHARE, 0.5)
"""Weights of the namer's names; without weight, those of the networks in front are left."""


def main(
    root: Annotated[Path, typer.Option(help="Folder of the data set, in its official layout.")],
    split: Annotated[str, typer.Option(help="Photos that are judged.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder: ilsvrc or voc.")] = Collection.ilsvrc,
    cache: Annotated[Path, typer.Option(help="Folder that keeps the networks' outputs.")] = Path(".cache/shares"),
    run: Annotated[Path | None, typer.Option(help="Folder of `incdet evaluate --each-network --output`.")] = None,
    shares: Annotated[list[float] | None, typer.Option("--share", help="Weight of the namer; repeatable.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Of the detector; repeatable.")] = None,
) -> None:
    """Prints a row for each weight, on the photos with objects, and F1 of the shipped weight on all photos."""
    data, known = photos_of_voc(dataset, root, split)
    config = load_config(Config, settings=settings or [])
    outputs = region_outputs(data, run, cache, config)
    rows = np.array([row for row, truth in enumerate(data.ground_truths) if len(truth) > 0])
    part, parts = some_photos(data, rows), [outputs[row] for row in rows]
    table = Table("weight of the namer", *COLUMNS, title=f"{len(part)} photos of {data.name} with objects")
    judged = [judge(detections(part, parts, share, known, config.detections), part) for share in shares or SHARES]
    for share, one in zip(shares or SHARES, judged, strict=True):
        numbers = compared_numbers(one, judged[0])
        cells = [form.format(number) for form, number in zip(COLUMNS.values(), numbers, strict=True)]
        table.add_row(f"{share:.2f}", *cells)
    table_console(None).print(table)
    found = detections(data, outputs, NAMER_SHARE, known, config.detections)
    evaluation = evaluate_detections(data.class_names, data.ground_truths, found)
    for point in operating_points(evaluation, THRESHOLDS):
        both = point.num_detections + point.num_objects
        f1 = 2 * point.num_right / both if both else float("nan")
        words = f"precision {point.precision:.3f}, recall {point.recall:.3f}, F1 {f1:.3f}"
        notes.print(f"all {len(data)} photos, from {point.score_threshold:g} on: {words}", markup=False)


def photos_of_voc(dataset: Collection, root: Path, split: str) -> tuple[Dataset, np.ndarray]:
    """Reads photos with objects of VOC's classes.

    Returns:
        The photos, and which of VOC's classes are looked for in them: [20] bool.
    """
    data = read_dataset(dataset, root, split, warn=warning)
    if dataset == Collection.ilsvrc:
        return with_classes_of_voc(data), np.isin(VOC_CLASSES, list(SAME_CLASSES.values()))
    return data, np.ones(len(VOC_CLASSES), bool)


def region_outputs(data: Dataset, run: Path | None, cache: Path, config: Config) -> list[tuple[Image, RegionScores]]:
    """Returns each photo and its region scores: those of an evaluation, or of a detector under some settings."""
    if run is not None:
        return list(outputs_of_run(data, run))
    detector = detector_with_namer(config)
    return list(stored_outputs(data, cache, detector))


def some_photos(data: Dataset, rows: np.ndarray) -> Dataset:
    """Returns some photos of a data set."""
    paths, truths, ids = data.image_paths, data.ground_truths, data.image_ids
    return replace(
        data,
        image_paths=tuple(paths[row] for row in rows),
        ground_truths=tuple(truths[row] for row in rows),
        image_ids=tuple(ids[row] for row in rows),
    )


def detector_with_namer(config: Config) -> Detector:
    """Loads the detector.

    Raises:
        ConfigurationError: the settings leave out the namer.
    """
    detector = Detector.from_pretrained(config=config)
    if detector.scorer.network_names[-1] != "namer":
        raise ConfigurationError("these settings leave out the namer; give others")
    return detector


def stored_outputs(data: Dataset, cache: Path, detector: Detector) -> Iterator[tuple[Image, RegionScores]]:
    """Yields each photo and its region scores, those of an earlier run where there are some."""
    # outputs of other settings or weights are not taken for those of these; the selection of detections comes after
    description = detector.describe()
    del description["configuration"]["detections"]
    identity = json.dumps(description, sort_keys=True, default=str)
    cache = cache / hashlib.sha256(identity.encode()).hexdigest()[:12]
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


def outputs_of_run(data: Dataset, run: Path) -> Iterator[tuple[Image, RegionScores]]:
    """Yields each photo and the region scores that an evaluation with a namer has stored.

    Raises:
        DataError: the evaluation had no namer, or has not stored the region scores of a photo.
    """
    if "namer" not in ensemble_of_run(run):
        raise DataError(f"{run} is no folder of an evaluation with a namer; give that of incdet evaluate --output")
    yield from scores_of_run(data, run)


def ensemble_of_run(run: Path) -> dict[str, Any]:
    """Returns the networks of an evaluation, as its `run.json` names them.

    Raises:
        DataError: the folder is not that of an evaluation.
    """
    try:
        ensemble: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))["ensemble"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{run} is no folder of an evaluation; give that of incdet evaluate --output") from None
    return ensemble


def scores_of_run(data: Dataset, run: Path) -> Iterator[tuple[Image, RegionScores]]:
    """Yields each photo and the region scores that an evaluation has stored.

    Raises:
        DataError: it has not stored the region scores of a photo, with those of each network.
    """
    for path in data.image_paths:
        image = read_image(path)
        file = run / "region_scores" / f"{path.stem}-{image_key(image)}.npz"
        arrays = load_arrays(file, "boxes", "probabilities", "by_network")
        if arrays is None:
            raise DataError(
                f"no region scores of {path.name} in {run}; run incdet evaluate --each-network --output {run}"
            )
        yield image, RegionScores(arrays["boxes"], arrays["probabilities"], arrays["by_network"])


def detections(
    data: Dataset,
    outputs: list[tuple[Image, RegionScores]],
    share: float,
    known: np.ndarray,
    config: DetectionsConfig,
) -> list[Detections]:
    """Selects the detections of each photo under a weight of the namer.

    Args:
        data: the photos.
        outputs: each photo and its region scores.
        share: weight of the namer, from 0 to 1.
        known: [C] bool, the classes that are looked for.
        config: thresholds and limits of the detections.
    """
    shared = []
    for image, scores in outputs:
        assert scores.by_network is not None
        # the last row is the namer's, which has the shipped weight in the probabilities; both are those in the scene
        renamed = scores.by_network[-1]
        without = (scores.probabilities - NAMER_SHARE * renamed) / (1 - NAMER_SHARE)
        probabilities = (1 - share) * without + share * renamed
        shared.append((image, RegionScores(scores.boxes, probabilities.astype(np.float32).clip(0, 1))))
    return selected(data, shared, config, known)


def selected(
    data: Dataset, outputs: list[tuple[Image, RegionScores]], config: DetectionsConfig, known: np.ndarray
) -> list[Detections]:
    """Selects the detections of each photo, in the size that its annotation states.

    Args:
        data: the photos.
        outputs: each photo and its region scores.
        config: thresholds and limits of the detections.
        known: [C] bool, the classes that are looked for.
    """
    found = []
    for (image, scores), truth in zip(outputs, data.ground_truths, strict=True):
        looked_for = RegionScores(scores.boxes, scores.probabilities * known)
        found.append(select_detections(looked_for, image, VOC_CLASSES, config).rescaled(truth.width, truth.height))
    return found


if __name__ == "__main__":
    run_program(main)
