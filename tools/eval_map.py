"""mAP of a detector, or of stored detections, on an annotated data set.

    python tools/eval_map.py --dataset voc --root VOCdevkit/VOC2012 --split val --json out.json
    python tools/eval_map.py --dataset ilsvrc --root ILSVRC --split val --predictions submission.txt --output report

With --output it also explains the number: what costs mAP, plots, and report.html. Region scores of a detector are kept
there: interrupted, it goes on where it stopped; with other `detections.*` settings it repeats only the last stage.
With --each-network it also judges the networks of an ensemble one by one, for no more than the time of judging.
"""

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from incdet.cli.console import notes, progress_bar, run_program, warning
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.dataset import Dataset, Warn
from incdet.data.ilsvrc import IlsvrcFiles
from incdet.data.readers import Collection, read_dataset
from incdet.errors import ConfigurationError, DataError
from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.coco_rules import CocoEvaluation
from incdet.evaluation.columns import DetectionColumns, detection_columns
from incdet.evaluation.comparison import bootstrap_interval
from incdet.evaluation.dataset_evaluation import evaluate_dataset, write_report, write_submission
from incdet.evaluation.predictions import read_predictions
from incdet.evaluation.report import coco_table, error_table, evaluation_table, networks_table, size_table
from incdet.evaluation.stored_evaluation import load_evaluation
from incdet.ops.decimals import plain_number
from incdet.runtime.files import write_text
from incdet.runtime.worker_processes import num_cores

if TYPE_CHECKING:
    from incdet.detector import Detector


class RulesName(StrEnum):
    """How detections are judged."""

    ilsvrc = "ilsvrc"
    voc = "voc"
    voc07 = "voc07"
    coco = "coco"


class CocoBackend(StrEnum):
    """What computes COCO's numbers."""

    pycocotools = "pycocotools"
    faster = "faster-coco-eval"


def main(
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    split: Annotated[
        str, typer.Option(help="Name of the split, such as val; for ilsvrc also a FILE of images.")
    ] = "val",
    detector: Annotated[
        list[str] | None, typer.Option(help="'default', a name or a file of weights; repeat for an ensemble.")
    ] = None,
    members: Annotated[
        int | None, typer.Option(help="Networks of the shipped ensemble that are averaged (default: all).")
    ] = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="The first --detector only picks the regions that the others look at.")
    ] = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Judge these instead of running a detector: ILSVRC submission text, COCO results or detections.jsonl, "
            "plain or .gz."
        ),
    ] = None,
    rules: Annotated[RulesName | None, typer.Option(help="Default: the data set's own.")] = None,
    blacklist: Annotated[Path | None, typer.Option(help="ilsvrc: instead of the development kit's.")] = None,
    classes: Annotated[Path | None, typer.Option(help="ilsvrc: class map instead of map_det.txt.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the report; with a detector: of the run (default: runs/eval_map).")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and parsed annotations.")] = Path(".cache"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here; '-' is stdout.")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration of the detector, in YAML.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    coco_backend: Annotated[CocoBackend, typer.Option(help="For coco rules.")] = CocoBackend.pycocotools,
    each_network: Annotated[
        bool,
        typer.Option(
            "--each-network",
            help="Judge the first stage and every member by itself, too, on the regions where the ensemble saw them; "
            "reports in OUTPUT/networks.",
        ),
    ] = False,
    interval: Annotated[
        bool, typer.Option("--interval", help="Also the 95 % interval of mAP over resampled photos; needs --output.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings about the data are errors.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> int:
    """Judge detections under the rules of ILSVRC, PASCAL VOC or COCO and print AP per class and mAP."""
    started = time.perf_counter()
    if predictions is not None and (detector or members or cascade or each_network):
        raise ConfigurationError(
            "--predictions judges no detector: leave out --detector, --members, --cascade and --each-network"
        )
    if predictions is not None and (config or settings):
        raise ConfigurationError("--predictions judges detections as they are: leave out --config and --set")
    chosen = rules or RulesName[dataset.name]
    if interval and (chosen == RulesName.coco or (predictions is not None and output is None)):
        raise ConfigurationError("--interval needs --output, and other rules than coco's; add it or leave it out")
    if dataset != Collection.ilsvrc and (blacklist or classes):
        raise ConfigurationError("--blacklist and --classes belong to --dataset ilsvrc; leave them out")
    warnings: list[str] = []
    warn: Warn = _refuse if strict else warnings.append
    files = IlsvrcFiles(classes, blacklist)
    data = read_dataset(dataset, root, split, files, cache / "ground_truth", num_cores(), warn)
    failures: list[str] = []
    by_network: dict[str, DetectionColumns] = {}
    if predictions is not None:
        found = read_predictions(predictions, data, warn)
    else:
        output = output or Path("runs/eval_map")
        from incdet.detector import Detector

        effective = load_config(Config, config, settings or ())
        weights = [] if detector == ["default"] else detector or []
        ready = Detector.from_pretrained(*weights, members=members, cascade=cascade, config=effective)
        found, by_network, failures = _run_detector(ready, data, output, cache / "proposals", quiet, each_network)
    if (
        output is not None
        and dataset == Collection.ilsvrc
        and (predictions is None or ".jsonl" in predictions.suffixes)
    ):
        notes.print(f"wrote {write_submission(found, data, output)}", markup=False)
    evaluation = evaluate_dataset(data, found, chosen.value, coco_backend.value, predictions, warn)
    judged = {
        name: evaluate_dataset(data, columns, chosen.value, coco_backend.value, None, _say_nothing)
        for name, columns in by_network.items()
    }
    _report(evaluation, judged, data, output, json_file, started, interval)
    for sentence in warnings:
        warning(sentence)
    for failure in failures:
        notes.print(f"error: {failure}", markup=False, style="red")
    return 1 if failures else 0


def _refuse(sentence: str) -> None:
    raise DataError(f"{sentence} (--strict)")


def _say_nothing(sentence: str) -> None:
    """What is worth a warning was said about the ensemble."""


def _run_detector(
    detector: "Detector", data: Dataset, output: Path, cache: Path, quiet: bool, each_network: bool
) -> tuple[DetectionColumns, dict[str, DetectionColumns], list[str]]:
    """(the detections, those of each network by its name, sentences about photos that failed)."""
    from incdet.evaluation.detection_run import DetectionRun
    from incdet.output.writers import detections_json
    from incdet.pipeline.proposal_cache import ProposalCache

    config = detector.config
    notes.print(f"{detector.cascade.describe()} ({detector.engine.describe()})", markup=False)
    proposals = ProposalCache(cache, config.proposals, config.device)
    run = DetectionRun(output, detector, data, proposals, each_network)
    with progress_bar("proposals", len(data), quiet) as update:
        for done, path in enumerate(proposals.fill(data.image_paths, config.images), 1):
            update(done, path.name)
    with progress_bar("regions", len(data), quiet) as update:
        rows = list(run.detections(update))
    found = [first for first, *_ in rows]
    file = output / "predictions.jsonl"
    write_text(file, "".join(json.dumps(detections_json(entry)) + "\n" for entry in found))
    notes.print(f"wrote {file}", markup=False)
    names = detector.cascade.network_names if each_network else []
    by_network = {name: detection_columns(row[number] for row in rows) for number, name in enumerate(names, 1)}
    return detection_columns(found), by_network, run.failures


def _report(
    evaluation: Evaluation | CocoEvaluation,
    by_network: dict[str, Evaluation | CocoEvaluation],
    data: Dataset,
    output: Path | None,
    json_file: Path | None,
    started: float,
    interval: bool,
) -> None:
    more: dict[str, Any] = {"dataset": data.name}
    to_stdout = json_file == Path("-")
    screen = notes if to_stdout else Console()
    screen.print(evaluation_table(evaluation, f"{data.name}: {evaluation.rules} rules"))
    if isinstance(evaluation, CocoEvaluation):
        screen.print(coco_table(evaluation))
        if output is not None:
            notes.print("no report: it explains the ilsvrc, voc and voc07 rules", markup=False)
    elif output is not None:
        analysis = write_report(evaluation, data, output)
        screen.print(error_table(analysis), size_table(analysis))
        notes.print(f"wrote {output / 'report.html'}", markup=False)
        if interval:
            low, high = bootstrap_interval(load_evaluation(output))
            screen.print(f"mAP over 1000 resampled sets of photos, the middle 95 %: {low:.4f} .. {high:.4f}")
            more["interval"] = [plain_number(low), plain_number(high)]
    if by_network:
        intervals = _network_reports(by_network, data, output, interval)
        screen.print(networks_table(by_network, evaluation, intervals))
        more["networks"] = {name: plain_number(own.mean_average_precision) for name, own in by_network.items()}
    more["seconds"] = round(time.perf_counter() - started, 3)
    numbers = json.dumps(evaluation.to_json() | more, indent=2) + "\n"
    if to_stdout:
        sys.stdout.write(numbers)
    elif json_file is not None:
        write_text(json_file, numbers)


def _network_reports(
    by_network: dict[str, Evaluation | CocoEvaluation], data: Dataset, output: Path | None, interval: bool
) -> dict[str, tuple[float, float]]:
    """Writes a report for every network, where the rules have one; the intervals of their mAP, if wanted."""
    intervals: dict[str, tuple[float, float]] = {}
    for name, own in by_network.items():
        if output is None or not isinstance(own, Evaluation):
            continue
        folder = output / "networks" / name.replace(" ", "-")
        write_report(own, data, folder)
        if interval:
            intervals[name] = bootstrap_interval(load_evaluation(folder))
    return intervals


if __name__ == "__main__":
    run_program(main)
