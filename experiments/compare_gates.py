"""mAP of a cascade behind several gates: what it costs that its networks do not look at every region.

    python experiments/compare_gates.py --dataset voc --root VOC2012 --split train --photos 71 --gate 0.01 --gate 0.1 \
        --coarse-gate 0 --coarse-gate 0.01 --set scores.precision=int8

The first row is that of the lowest gates, exact where both are 0; the others are held against it. Every look's answers
are kept: interrupted, the same command goes on where it stopped, and higher gates are tried without a network. Choose
gates on photos that are not judged afterwards.
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
from cascade_answers import LookAnswers, kept_answers
from rich.table import Table

from incdet.cli.console import notes, progress_bar, run_program, warning
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.errors import ConfigurationError
from incdet.evaluation.average_precision import Evaluation, plain_number
from incdet.evaluation.columns import detection_columns
from incdet.evaluation.comparison import FILE_NAME, Judgement, compare_judgements, load_judgement, save_judgement
from incdet.evaluation.dataset_evaluation import evaluate_dataset
from incdet.evaluation.detection_run import require_same_classes
from incdet.images import read_image
from incdet.networks.ensemble import Gates
from incdet.proposals import ProposalCache, image_key
from incdet.runtime.files import write_text
from incdet.structures import GroundTruth, Image

COLUMNS = {
    "coarse gate": "{:g}",
    "gate": "{:g}",
    "first stage sees": "{:.1%}",
    "members see": "{:.1%}",
    "mAP": "{:.4f}",
}
COLUMNS |= {"pooled AP": "{:.4f}", "difference": "{:+.3f}", "95 % from": "{:+.3f}", "to": "{:+.3f}"}
"""Of the table, and how their numbers are written."""


def main(
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
    split: Annotated[str, typer.Option(help="Photos that are judged.")] = "train",
    photos: Annotated[int | None, typer.Option(min=1, help="So many of them, evenly spaced; default: all.")] = None,
    gates: Annotated[
        list[float] | None, typer.Option("--gate", help="scores.min_probability; repeat (default: 0, 0.05, 0.1, 0.2).")
    ] = None,
    coarse_gates: Annotated[
        list[float] | None,
        typer.Option("--coarse-gate", help="scores.half_resolution_min_probability; repeat (default: 0, 0.01, 0.03)."),
    ] = None,
    detector: Annotated[
        list[str] | None, typer.Option(help="Names or files of weights, the first stage first; default: the shipped.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the detector.")] = None,
    output: Annotated[Path, typer.Option(help="For gates.json and reports.")] = Path("runs/compare_gates"),
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and answers.")] = Path(".cache"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Judge a cascade's detections under VOC's rules behind every pair of a gate and a coarse gate."""
    tried = _pairs(gates or [0.0, 0.05, 0.1, 0.2], coarse_gates or [0.0, 0.01, 0.03])
    config = load_config(Config, None, settings or ())
    weights = [] if detector in (None, ["default"]) else detector or []
    ready = Detector.from_pretrained(*weights, cascade=bool(weights), config=config)
    data = read_dataset(dataset, root, split, warn=warning).evenly_spaced(photos)
    require_same_classes(ready, data)
    rows = {pair: _Row() for pair in tried}
    for image, truth, answers in _answers(ready, data, cache, tried[0].first, quiet):
        for pair, row in rows.items():
            found = ready.select(answers.behind(pair), image)
            row.add(found.rescaled(truth.width, truth.height), *answers.passed(pair))
    _report(rows, data, output)


@dataclass
class _Row:
    """What came of a pair of gates."""

    found: list[Detections] = field(default_factory=list)
    regions: int = 0
    near: int = 0
    close: int = 0

    def add(self, found: Detections, near: np.ndarray, close: np.ndarray) -> None:
        self.found.append(found)
        self.regions += len(near)
        self.near += int(near.sum())
        self.close += int(close.sum())

    def shares(self) -> tuple[float, float]:
        """Of all regions, those that the first stage and the members see."""
        return self.near / max(self.regions, 1), self.close / max(self.regions, 1)


def _pairs(gates: Sequence[float], coarse_gates: Sequence[float]) -> list[Gates]:
    """Every combination, the lowest first.

    Raises:
        ConfigurationError: a gate is no probability.
    """
    for value in (*gates, *coarse_gates):
        if not 0 <= value <= 1:
            raise ConfigurationError(f"gates are probabilities, from 0 to 1, and {value:g} is none; give others")
    return [Gates(first, coarse) for coarse, first in itertools.product(sorted(set(coarse_gates)), sorted(set(gates)))]


def _key(detector: Detector, lowest: float) -> str:
    """Of all that decides what the looks say."""
    description = detector.describe()
    del description["configuration"]["detections"]
    for name in ("min_probability", "half_resolution_min_probability"):
        del description["configuration"]["scores"][name]
    return hashlib.sha256(json.dumps([description, lowest], sort_keys=True).encode()).hexdigest()[:16]


def _answers(
    detector: Detector, data: Dataset, cache: Path, lowest: float, quiet: bool
) -> Iterator[tuple[Image, GroundTruth, LookAnswers]]:
    config, folder = detector.config, cache / "looks" / _key(detector, lowest)
    proposals = ProposalCache(cache / "proposals", config.proposals, config.device)
    with progress_bar("proposals", len(data), quiet) as update:
        for done, path in enumerate(proposals.fill(data.image_paths, config.images), 1):
            update(done, path.name)
    with progress_bar("regions", len(data), quiet) as update:
        for done, (path, truth) in enumerate(data):
            update(done, truth.image)
            image = read_image(path, config.images)
            file = folder / f"{path.stem}-{image_key(image)}.npz"
            yield image, truth, kept_answers(file, detector, image, proposals(image), lowest)
        update(len(data), "")


def _report(rows: dict[Gates, _Row], data: Dataset, output: Path) -> None:
    objects = sum(int((~truth.ignored).sum()) for truth in data.ground_truths)
    title = f"{data.name}: {len(data)} photos, {objects} objects"
    table = Table(*COLUMNS, title=title)
    judgements: list[Judgement] = []
    written = []
    for (gate, coarse), row in rows.items():
        evaluation = evaluate_dataset(data, detection_columns(row.found), "voc", "pycocotools", None, lambda _: None)
        assert isinstance(evaluation, Evaluation)
        folder = output / f"coarse-{coarse:g}-gate-{gate:g}"
        save_judgement(folder / FILE_NAME, evaluation, data.name, [truth.image for truth in data.ground_truths])
        judgements.append(load_judgement(folder))
        compared = compare_judgements(judgements[0], judgements[-1])
        means = evaluation.mean_average_precision, evaluation.pooled_average_precision
        difference = compared.mean_average_precision[1] - compared.mean_average_precision[0]
        numbers = [coarse, gate, *row.shares(), *means, difference, *compared.interval]
        table.add_row(*map(str.format, COLUMNS.values(), numbers))
        written.append(dict(zip(COLUMNS, [plain_number(number) for number in numbers], strict=True)))
    write_text(output / "gates.json", json.dumps({"data": title, "rows": written}, indent=2) + "\n")
    notes.print(table)
    notes.print(f"wrote {output}; tools/compare_runs.py says more of any two folders in it", markup=False)


if __name__ == "__main__":
    run_program(main)
