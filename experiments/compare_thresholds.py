"""mAP of a cascade with several thresholds: what it costs that its networks do not classify every region.

    python experiments/compare_thresholds.py --dataset voc --root VOC2012 --split train --photos 71 \
        --min-probability 0.01 --min-probability 0.1 --half-resolution 0 --half-resolution 0.01 \
        --set scores.precision=int8

The first row is that of the lowest thresholds, exact where both are 0; the others are compared with it. The outputs
of every stage are stored: interrupted, the same command goes on where it stopped, and higher thresholds are tried
without a network. Choose thresholds on photos that are not judged afterwards.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from cascade_outputs import CascadeOutputs, stored_outputs
from rich.table import Table

from incdet.cli.console import notes, progress_bar, run_program, warning
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.errors import ConfigurationError
from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.columns import detection_columns
from incdet.evaluation.comparison import compare_evaluations
from incdet.evaluation.dataset_evaluation import evaluate_dataset
from incdet.evaluation.detection_run import require_same_classes
from incdet.evaluation.stored_evaluation import FILE_NAME, StoredEvaluation, load_evaluation, save_evaluation
from incdet.images import read_image
from incdet.ops.decimals import plain_number
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.proposal_cache import ProposalCache, image_key
from incdet.runtime.files import write_text
from incdet.structures import GroundTruth, Image

COLUMNS = {
    "half-resolution": "{:g}",
    "min probability": "{:g}",
    "reach rejection": "{:.1%}",
    "reach members": "{:.1%}",
    "mAP": "{:.4f}",
}
COLUMNS |= {"pooled AP": "{:.4f}", "difference": "{:+.3f}", "95 % from": "{:+.3f}", "to": "{:+.3f}"}
"""Columns of the table -> how their numbers are written."""


def main(
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
    split: Annotated[str, typer.Option(help="Photos that are judged.")] = "train",
    photos: Annotated[int | None, typer.Option(min=1, help="Number of photos, evenly spaced (default: all).")] = None,
    min_probabilities: Annotated[
        list[float] | None,
        typer.Option("--min-probability", help="scores.min_probability; repeat (default: 0, 0.05, 0.1, 0.2)."),
    ] = None,
    half_resolution: Annotated[
        list[float] | None,
        typer.Option(
            "--half-resolution", help="scores.half_resolution_min_probability; repeat (default: 0, 0.01, 0.03)."
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights", help="Names or files of weights, the rejection network first (default: the shipped)."
        ),
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the detector.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of thresholds.json and reports.")] = Path(
        "runs/compare_thresholds"
    ),
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and outputs.")] = Path(".cache"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Judge a cascade's detections under VOC's rules with every pair of thresholds."""
    tried = _pairs(min_probabilities or [0.0, 0.05, 0.1, 0.2], half_resolution or [0.0, 0.01, 0.03])
    # every region above the threshold reaches the members, whose probabilities nobody changes
    config = load_config(
        Config, None, ["scores.namer=none", "scores.representative_min_probability=0", *(settings or ())]
    )
    chosen = [] if weights in (None, ["default"]) else weights or []
    ready = Detector.from_pretrained(*chosen, cascade=bool(chosen), config=config)
    data = read_dataset(dataset, root, split, warn=warning).evenly_spaced(photos)
    require_same_classes(ready, data)
    rows = {pair: _Row() for pair in tried}
    for image, truth, outputs in _outputs(ready, data, cache, tried[0].min_probability, quiet):
        for pair, row in rows.items():
            found = ready.select(outputs.with_thresholds(pair), image)
            row.add(found.rescaled(truth.width, truth.height), *outputs.passed(pair))
    _report(rows, data, output)


@dataclass
class _Row:
    """The detections with a pair of thresholds, and the number of regions that reach each stage."""

    found: list[Detections] = field(default_factory=list)
    num_regions: int = 0
    num_reach_rejection: int = 0
    num_reach_members: int = 0

    def add(self, found: Detections, reach_rejection: np.ndarray, reach_members: np.ndarray) -> None:
        self.found.append(found)
        self.num_regions += len(reach_rejection)
        self.num_reach_rejection += int(reach_rejection.sum())
        self.num_reach_members += int(reach_members.sum())

    def shares(self) -> tuple[float, float]:
        """The shares of all regions that reach the rejection network and the members."""
        num_regions = max(self.num_regions, 1)
        return self.num_reach_rejection / num_regions, self.num_reach_members / num_regions


def _pairs(min_probabilities: Sequence[float], half_resolution: Sequence[float]) -> list[Thresholds]:
    """Every combination, the lowest first.

    Raises:
        ConfigurationError: a threshold is no probability.
    """
    for value in (*min_probabilities, *half_resolution):
        if not 0 <= value <= 1:
            raise ConfigurationError(f"thresholds are probabilities, from 0 to 1, and {value:g} is none; give others")
    pairs = itertools.product(sorted(set(half_resolution)), sorted(set(min_probabilities)))
    return [Thresholds(min_probability, half) for half, min_probability in pairs]


def _key(detector: Detector, lowest: float) -> str:
    """A name for everything that decides what the stages say."""
    description = detector.describe()
    del description["configuration"]["detections"]
    for name in ("min_probability", "half_resolution_min_probability"):
        del description["configuration"]["scores"][name]
    return hashlib.sha256(json.dumps([description, lowest], sort_keys=True).encode()).hexdigest()[:16]


def _outputs(
    detector: Detector, data: Dataset, cache: Path, lowest: float, quiet: bool
) -> Iterator[tuple[Image, GroundTruth, CascadeOutputs]]:
    config, folder = detector.config, cache / "cascade_outputs" / _key(detector, lowest)
    proposals = ProposalCache(cache / "proposals", config.proposals, config.device, config.scores)
    with progress_bar("proposals", len(data), quiet) as update:
        for done, path in enumerate(proposals.fill(data.image_paths, config.images), 1):
            update(done, path.name)
    with progress_bar("regions", len(data), quiet) as update:
        for done, (path, truth) in enumerate(data):
            update(done, truth.image)
            image = read_image(path, config.images)
            file = folder / f"{path.stem}-{image_key(image)}.npz"
            yield image, truth, stored_outputs(file, detector, image, proposals(image), lowest)
        update(len(data), "")


def _report(rows: dict[Thresholds, _Row], data: Dataset, output: Path) -> None:
    objects = sum(int((~truth.ignored).sum()) for truth in data.ground_truths)
    title = f"{data.name}: {len(data)} photos, {objects} objects"
    table = Table(*COLUMNS, title=title)
    judgements: list[StoredEvaluation] = []
    written = []
    for thresholds, row in rows.items():
        half, minimum = thresholds.half_resolution_min_probability, thresholds.min_probability
        evaluation = evaluate_dataset(data, detection_columns(row.found), "voc", "pycocotools", None, lambda _: None)
        assert isinstance(evaluation, Evaluation)
        folder = output / f"half-resolution-{half:g}-min-probability-{minimum:g}"
        save_evaluation(folder / FILE_NAME, evaluation, data.name, [truth.image for truth in data.ground_truths])
        judgements.append(load_evaluation(folder))
        compared = compare_evaluations(judgements[0], judgements[-1])
        means = evaluation.mean_average_precision, evaluation.pooled_average_precision
        difference = compared.mean_average_precision[1] - compared.mean_average_precision[0]
        numbers = [half, minimum, *row.shares(), *means, difference, *compared.interval]
        table.add_row(*map(str.format, COLUMNS.values(), numbers))
        written.append(dict(zip(COLUMNS, [plain_number(number) for number in numbers], strict=True)))
    write_text(output / "thresholds.json", json.dumps({"data": title, "rows": written}, indent=2) + "\n")
    notes.print(table)
    notes.print(f"wrote {output}; `incdet compare` says more of any two folders in it", markup=False)


if __name__ == "__main__":
    run_program(main)
