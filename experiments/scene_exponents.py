r"""What the photo as a whole brings to the default detector, whose namer sees it, under several exponents.

    python experiments/scene_exponents.py --root ILSVRC --split val1-here --cache shares

The photos are those of `namer_shares.py`, and so are the outputs that are stored: interrupted, the same command goes
on where it stopped. Differences are from the first exponent, with the standard error of a paired bootstrap over the
photos.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from display_thresholds import SAME_CLASSES, with_classes_of_voc
from namer_shares import detections, detector_with_namer, some_photos, stored_outputs
from paired_bootstrap import COLUMNS, compared_numbers, judge
from rich.table import Table

from incdet.cli.console import run_program, table_console, warning
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.collection import Collection
from incdet.data.readers import read_dataset
from incdet.data.voc import VOC_CLASSES
from incdet.detector import Detector
from incdet.errors import ConfigurationError
from incdet.pipeline.renaming import NAMER_SHARE, RenamingScorer
from incdet.pipeline.scene import scene_factors, scene_views
from incdet.structures import Image, RegionScores

EXPONENTS = (0.0, 0.05, 0.1, 0.2, 0.3)
"""Weights of the scene; 0 leaves it out."""


def main(
    root: Annotated[Path, typer.Option(help="Folder of ILSVRC DET, in its official layout.")],
    split: Annotated[str, typer.Option(help="Photos that are judged.")],
    cache: Annotated[Path, typer.Option(help="Folder that keeps the networks' outputs.")] = Path(".cache/shares"),
    exponents: Annotated[
        list[float] | None, typer.Option("--exponent", min=0, max=1, help="Weight of the scene; repeatable.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Of the detector; repeatable.")] = None,
) -> None:
    """Prints a row for each exponent, on the photos with objects."""
    data = with_classes_of_voc(read_dataset(Collection.ilsvrc, root, split, warn=warning))
    known = np.isin(VOC_CLASSES, list(SAME_CLASSES.values()))
    data = some_photos(data, np.array([row for row, truth in enumerate(data.ground_truths) if len(truth) > 0]))
    config = load_config(Config, settings=settings or [])
    detector = detector_with_namer(config)
    outputs = list(stored_outputs(data, cache, detector))
    scenes = [scene_of(detector, image) for image, _ in outputs]
    table = Table("exponent", *COLUMNS, title=f"{len(data)} photos of {data.name} with objects")
    judged = []
    for exponent in exponents or EXPONENTS:
        found = [
            (image, in_scene(scores, scene, exponent, config.scores.scene_exponent))
            for (image, scores), scene in zip(outputs, scenes, strict=True)
        ]
        judged.append(judge(detections(data, found, NAMER_SHARE, known, config.detections), data))
        numbers = compared_numbers(judged[-1], judged[0])
        cells = [form.format(number) for form, number in zip(COLUMNS.values(), numbers, strict=True)]
        table.add_row(f"{exponent:g}", *cells)
    table_console(None).print(table)


def scene_of(detector: Detector, image: Image) -> np.ndarray:
    """Returns what the namer says of the views of a photo, [V, 20] float32.

    Raises:
        ConfigurationError: the namer does not know VOC's classes, in their order.
    """
    scorer = detector.scorer
    if not isinstance(scorer, RenamingScorer) or [*scorer.common_classes] != [(each, each) for each in range(20)]:
        raise ConfigurationError("the namer does not know VOC's 20 classes in their order; leave scores.namer as it is")
    return scorer.namer(image, scene_views(image)).scores.probabilities


def in_scene(scores: RegionScores, scene: np.ndarray, exponent: float, stored_exponent: float) -> RegionScores:
    """Returns the region scores of a photo when the scene has more or less weight.

    Args:
        scores: the region scores.
        scene: [V, C] float32, what the namer says of the views of the photo.
        exponent: the weight that the scene gets.
        stored_exponent: the weight that it has in these scores.
    """
    assert scores.by_network is not None
    ratios = scene_factors(scene, exponent) / scene_factors(scene, stored_exponent)
    by_network = scores.by_network.copy()
    by_network[-1] *= ratios
    # a scene that is computed once more may differ by a rounding
    probabilities, by_network = (np.clip(values, 0, 1) for values in (scores.probabilities * ratios, by_network))
    return replace(scores, probabilities=probabilities, by_network=by_network)


if __name__ == "__main__":
    run_program(main)
