"""How well proposals cover the objects of a data set, how long they take, and the files that show it."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from incdet.config.sections import ImagesConfig
from incdet.data.dataset import Dataset
from incdet.data.photo_frame import fit_to_photo
from incdet.errors import DataError, ImageError
from incdet.evaluation.plots import coverage_comparison_plot, coverage_over_number_plot, coverage_over_overlap_plot
from incdet.evaluation.recall import Coverage, measure_coverage
from incdet.images import read_image
from incdet.runtime.files import atomic_file
from incdet.runtime.json_files import read_json
from incdet.structures import GroundTruth, Image, Proposals

Propose = Callable[[Image], Proposals]

TIMED_IMAGES = 10
"""Photos that are searched anew, one after the other, to tell the time, besides a first one that is not counted."""


def cover_dataset(
    dataset: Dataset, propose: Propose, config: ImagesConfig, ignored_objects_count: bool
) -> tuple[Coverage, list[str]]:
    """Measures how well proposals cover the objects of a data set.

    Args:
        dataset: Annotated photos.
        propose: Proposes boxes in a photo, perhaps from a cache.
        config: Limits of the photos that can be read.
        ignored_objects_count: Whether objects count that are annotated to be ignored: VOC's difficult ones are
            objects, and R-CNN counted them, but COCO's crowds are no single objects.

    Returns:
        The coverage, and sentences about photos that could not be read and do not count.

    Raises:
        DataError: None of the photos could be read.
    """
    truths: list[GroundTruth] = []
    proposals: list[Proposals] = []
    failures: list[str] = []
    for path, truth in dataset:
        counted = truth if ignored_objects_count else _without_ignored(truth)
        try:
            image = read_image(path, config)
            # proposals are in pixels of the file, which may be larger or smaller than the photo that was annotated
            fitting = fit_to_photo(counted, image.width, image.height, path)
        except ImageError as error:
            failures.append(str(error))
            continue
        proposals.append(propose(image))
        truths.append(fitting)
    if not truths:
        raise DataError(f"none of the {len(dataset)} photos of {dataset.name} could be read: {failures[0]}")
    return measure_coverage(truths, proposals), failures


def _without_ignored(truth: GroundTruth) -> GroundTruth:
    kept = ~truth.ignored
    return replace(truth, boxes=truth.boxes[kept], class_ids=truth.class_ids[kept], ignored=truth.ignored[kept])


def seconds_per_photo(dataset: Dataset, propose: Propose, config: ImagesConfig) -> float:
    """Median seconds of the first photos that can be read, with all cores; reading them is not counted."""
    seconds: list[float] = []
    for path in dataset.image_paths:
        if len(seconds) > TIMED_IMAGES:
            break
        try:
            image = read_image(path, config)
        except ImageError:
            continue
        started = time.perf_counter()
        propose(image)
        seconds.append(time.perf_counter() - started)
    # the first search compiles or warms up; where it is the only one, it must do
    return statistics.median(seconds[1:] or seconds)


def read_coverage_numbers(file: Path) -> dict[str, Any]:
    """The numbers that an earlier `incdet coverage --json` wrote.

    Raises:
        DataError: The file cannot be read, or something else is in it.
    """
    try:
        numbers = read_json(file, "the earlier run", "give a file that incdet coverage wrote with --json")
        # whatever the curves need must be there
        float(numbers["proposals_per_image"] + numbers["coverage"])
        [float(point["proposals"] + point["coverage"]) for point in numbers["by_number"]]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{file} is not what incdet coverage writes with --json; give such a file") from None
    return dict(numbers)


def write_coverage_curves(
    folder: Path, coverage: Coverage, name: str, numbers: dict[str, Any], earlier: Mapping[str, dict[str, Any]]
) -> list[Path]:
    """Draws the coverage over the number of proposals and over the overlap that is asked for.

    Args:
        folder: Folder of the pictures.
        coverage: The coverage.
        name: Name of its curve beside those of earlier runs.
        numbers: Its numbers, as in `Coverage.to_json()`.
        earlier: Name of an earlier run -> its numbers; with any, a third picture shows all runs.

    Raises:
        OutputError: The folder cannot be written to.
    """
    pictures = {
        "over_number": coverage_over_number_plot(coverage),
        "over_overlap": coverage_over_overlap_plot(coverage),
    }
    # without objects there is no coverage to compare
    if earlier and numbers["coverage"] is not None:
        pictures["beside"] = coverage_comparison_plot({name: numbers, **earlier})
    files: list[Path] = []
    for title, png in pictures.items():
        files.append(folder / f"{title}.png")
        with atomic_file(files[-1]) as stream:
            stream.write(png)
    return files
