"""mAP of a detector, or of stored detections, on an annotated data set.

    python tools/eval_map.py --dataset voc --root VOCdevkit/VOC2012 --split val --json out.json

Region scores are kept in the output folder: interrupted, it goes on where it stopped; with other `detections.*`
settings it repeats only the last stage.
"""

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from incdet.config import Config, load_config
from incdet.console import notes, progress_bar, run_program
from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.detector import Detector
from incdet.evaluation.average_precision import Evaluation, evaluate_detections
from incdet.evaluation.detection_run import DetectionRun, no_detections
from incdet.evaluation.report import evaluation_table
from incdet.output.writers import detections_json, match_images, read_detections
from incdet.proposals import ProposalCache
from incdet.storage import write_text
from incdet.structures import Detections


class Collection(StrEnum):
    """Layout of the data set's folder."""

    voc = "voc"
    coco = "coco"
    ilsvrc = "ilsvrc"


def main(
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    split: Annotated[str, typer.Option(help="Name of the split, such as val.")] = "val",
    detector: Annotated[
        list[str] | None, typer.Option(help="'default', a name or a file of weights; repeat for an ensemble.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Judge this detections.jsonl instead of running a detector.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the run: region scores and predictions.jsonl.")] = Path(
        "runs/eval_map"
    ),
    cache: Annotated[Path, typer.Option(help="Folder of the proposal cache.")] = Path(".cache/proposals"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here; '-' is stdout.")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration in YAML.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress bars.")] = False,
) -> int:
    """Judge detections at IoU 0.5 under VOC's rules: all-points AP, `difficult` objects ignored."""
    started = time.perf_counter()
    data = read_dataset(dataset.value, root, split)
    failures: list[str] = []
    if predictions is not None:
        names = [truth.image for truth in data.ground_truths]
        stored = match_images(read_detections(predictions, data.class_names), names, predictions)
        pairs = zip(stored, data.ground_truths, strict=True)
        found = [entry or no_detections(truth, data.class_names) for entry, truth in pairs]
    else:
        effective = load_config(Config, config, settings or ())
        found, failures = _run_detector(_names(detector), effective, data, output, cache, quiet)
    evaluation = evaluate_detections(data.class_names, data.ground_truths, found)
    _report(evaluation, data.name, json_file, time.perf_counter() - started)
    for failure in failures:
        notes.print(f"error: {failure}", markup=False, style="red")
    return 1 if failures else 0


def _names(detector: list[str] | None) -> list[str]:
    return [] if detector in (None, ["default"]) else list(detector or ())


def _run_detector(
    weights: list[str], config: Config, data: Dataset, output: Path, cache: Path, quiet: bool
) -> tuple[list[Detections], list[str]]:
    """(one `Detections` per photo, sentences about photos that failed)."""
    proposals = ProposalCache(cache, config.proposals)
    run = DetectionRun(output, Detector.from_pretrained(*weights, config=config), data, proposals)
    with progress_bar("proposals", len(data), quiet) as update:
        for done, path in enumerate(proposals.fill(data.image_paths, config.images), 1):
            update(done, path.name)
    with progress_bar("regions", len(data), quiet) as update:
        found = list(run.detections(update))
    file = output / "predictions.jsonl"
    write_text(file, "".join(json.dumps(detections_json(entry)) + "\n" for entry in found))
    notes.print(f"wrote {file}", markup=False)
    return found, run.failures


def _report(evaluation: Evaluation, name: str, json_file: Path | None, seconds: float) -> None:
    numbers = json.dumps(evaluation.to_json() | {"dataset": name, "seconds": round(seconds, 3)}, indent=2) + "\n"
    to_stdout = json_file == Path("-")
    table = evaluation_table(evaluation, f"{name}: {evaluation.rules} rules, IoU 0.5")
    (notes if to_stdout else Console()).print(table)
    if to_stdout:
        sys.stdout.write(numbers)
    elif json_file is not None:
        write_text(json_file, numbers)


if __name__ == "__main__":
    run_program(main)
