"""How well proposals cover the objects of a data set, and how long they take.

Proposals are kept in --cache, so an interrupted run goes on where it stopped.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from scipy.cluster.vq import vq

from incdet.cli.console import notes, progress_bar, run_program, warning
from incdet.config.class_choice import find_classes, split_names
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.errors import ConfigurationError, DataError, ImageError
from incdet.evaluation.plots import coverage_comparison_plot, coverage_over_number_plot, coverage_over_overlap_plot
from incdet.evaluation.recall import Coverage, measure_coverage
from incdet.evaluation.report import coverage_table
from incdet.images import read_image
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.proposals import Proposers
from incdet.runtime.files import atomic_file, read_text, write_text
from incdet.runtime.worker_processes import num_cores
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.prior_clusters import cluster_priors, unit_boxes

Propose = Callable[[Image], Proposals]

TIMED_IMAGES = 10
"""So many photos are searched anew, one after the other, to tell the time; the first of them is not counted."""


class Method(StrEnum):
    """What proposes."""

    selective_search = "selective-search"
    multibox = "multibox"
    merged = "merged"
    priors = "priors"

    @property
    def settings(self) -> list[str]:
        """Of the configuration: merged is whatever it has as its default."""
        names = {Method.selective_search: "selective_search", Method.multibox: "multibox"}
        return [f"proposals.methods=[{names[self]}]"] if self in names else []


def main(
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    split: Annotated[
        str, typer.Option(help="Name of the split, such as val; for ilsvrc also a FILE of images.")
    ] = "val",
    method: Annotated[
        Method,
        typer.Option(
            help="What proposes; 'merged' is what a detector gets, 'priors' are the centres of 200 clusters of the "
            "boxes of the split 'train', the same for every photo."
        ),
    ] = Method.selective_search,
    superpixel_scale: Annotated[
        float | None, typer.Option(help="1 is R-CNN's selective search, 2 GoogLeNet's (default).")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Judge by the objects of these classes only.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N photos of the split.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here; '-' is stdout.")] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="An earlier run's --json, drawn beside this run's curve; repeatable.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the curves.")] = Path("runs/proposal_coverage"),
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and parsed annotations.")] = Path(".cache"),
    config: Annotated[Path | None, typer.Option(help="Configuration of the detector, in YAML.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> int:
    """Share of a data set's objects that proposals cover: at IoU 0.5, on average from 0.5 to 1, by size and number."""
    if any(setting.startswith("proposals.methods") for setting in settings or ()):
        raise ConfigurationError("--method says what proposes; leave out --set proposals.methods")
    scale = [] if superpixel_scale is None else [f"proposals.selective_search.superpixel_scale={superpixel_scale}"]
    effective = load_config(Config, config, [*method.settings, *(settings or ()), *scale])
    earlier = {file.stem: _read_earlier(file) for file in beside or ()}
    parsed, number = cache / "ground_truth", num_cores()
    data = read_dataset(dataset, root, split, cache=parsed, num_processes=number, warn=warning)
    data = data if limit is None else data.subset(list(range(min(limit, len(data)))))
    judged = find_classes(split_names(classes), data.class_names, data.name) if classes is not None else None
    if method == "priors":
        propose: Propose = _Priors(read_dataset(dataset, root, "train", cache=cache / "ground_truth"))
        cached = propose
    else:
        propose = Proposers(effective.proposals, effective.device)
        cached = _filled_cache(data, effective, cache / "proposals", quiet)
    truths, proposals, failures = _propose(data, effective, cached)
    # crowds are no single objects; VOC's difficult ones are, and R-CNN counted them
    crowds = dataset == Collection.coco
    coverage = measure_coverage([_without_ignored(truth) if crowds else truth for truth in truths], proposals)
    if judged is not None:
        coverage = coverage.subset(np.isin(coverage.class_ids, judged))
    numbers = coverage.to_json() | {"seconds_per_image": _seconds_per_image(data, effective, propose)}
    numbers |= {"dataset": data.name, "method": method.value}
    _report(coverage, numbers, effective, output, json_file, earlier)
    for failure in failures:
        notes.print(f"error: {failure}", markup=False, style="red")
    return 1 if failures else 0


class _Priors:
    """Proposes the same shares of every photo: what a data set's objects have in common, the most common first."""

    def __init__(self, training: Dataset):
        boxes = unit_boxes(training)
        priors = cluster_priors(boxes, 200)
        self._shares = np.bincount(vq(boxes, priors)[0], minlength=len(priors)) / len(boxes)
        order = np.argsort(-self._shares, kind="stable")
        self._priors, self._shares = priors[order], self._shares[order].astype(np.float32)

    def __call__(self, image: Image) -> Proposals:
        size = np.array([image.width, image.height] * 2, np.float32)
        return Proposals(self._priors * size, self._shares, np.full(len(self._priors), "priors"))


def _filled_cache(data: Dataset, config: Config, cache: Path, quiet: bool) -> ProposalCache:
    stored = ProposalCache(cache, config.proposals, config.device)
    with progress_bar("proposals", len(data), quiet) as update:
        for done, path in enumerate(stored.fill(data.image_paths, config.images), 1):
            update(done, path.name)
    return stored


def _propose(data: Dataset, config: Config, propose: Propose) -> tuple[list[GroundTruth], list[Proposals], list[str]]:
    """(annotations of the photos that could be read, in their pixels; proposals; sentences about the other photos)."""
    truths, proposals, failures = [], [], []
    for path, truth in data:
        try:
            image = read_image(path, config.images)
        except ImageError as error:
            failures.append(str(error))
            continue
        truths.append(truth.rescaled(image.width, image.height))
        proposals.append(propose(image))
    if not truths:
        raise DataError(f"none of the {len(data)} photos of {data.name} could be read: {failures[0]}")
    return truths, proposals, failures


def _read_earlier(file: Path) -> dict[str, Any]:
    """What an earlier run wrote with --json."""
    try:
        numbers = json.loads(read_text(file, "the earlier run", "give what proposal_coverage.py wrote with --json"))
        [numbers["proposals_per_image"] + numbers["coverage"], *(point["coverage"] for point in numbers["by_number"])]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{file} is not what proposal_coverage.py writes with --json; give such a file") from None
    return dict(numbers)


def _without_ignored(truth: GroundTruth) -> GroundTruth:
    kept = ~truth.ignored
    return GroundTruth(
        truth.image, truth.width, truth.height, truth.boxes[kept], truth.class_ids[kept], truth.ignored[kept]
    )


def _seconds_per_image(data: Dataset, config: Config, propose: Propose) -> float:
    """Median of the first photos that can be read, with all cores."""
    seconds: list[float] = []
    for path in data.image_paths:
        if len(seconds) > TIMED_IMAGES:
            break
        try:
            image = read_image(path, config.images)
        except ImageError:
            continue
        started = time.perf_counter()
        propose(image)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:] or seconds)


def _report(
    coverage: Coverage,
    numbers: dict[str, Any],
    config: Config,
    output: Path,
    json_file: Path | None,
    earlier: dict[str, dict[str, Any]],
) -> None:
    to_stdout = json_file == Path("-")
    screen = notes if to_stdout else Console()
    screen.print(coverage_table(coverage, f"{numbers['dataset']}: {numbers['method']}"))
    screen.print(
        f"{numbers['proposals_per_image']:.0f} proposals per image, {numbers['seconds_per_image']:.3f} s per image, "
        f"{numbers['num_images']} images"
    )
    plots = {"over_number": coverage_over_number_plot(coverage), "over_overlap": coverage_over_overlap_plot(coverage)}
    if earlier:
        plots["beside"] = coverage_comparison_plot({str(numbers["method"]): numbers, **earlier})
    for name, png in plots.items():
        with atomic_file(output / f"{name}.png") as stream:
            stream.write(png)
    notes.print(f"wrote {', '.join(str(output / f'{name}.png') for name in plots)}", markup=False)
    text = json.dumps(numbers | {"configuration": config.proposals.model_dump(mode="json")}, indent=2) + "\n"
    if to_stdout:
        sys.stdout.write(text)
    elif json_file is not None:
        write_text(json_file, text)


if __name__ == "__main__":
    run_program(main)
