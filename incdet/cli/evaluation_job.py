"""One run of `incdet evaluate`: which options go together, detections, judgement, tables and numbers."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from incdet.cli.cluster_options import ClusterOptions
from incdet.cli.console import (
    failures_told,
    notes,
    reporter,
    table_console,
    tell_of_compilation,
    warning,
    write_numbers,
)
from incdet.cli.detector_choice import DetectorChoice
from incdet.config.sections import DISPLAY_THRESHOLD
from incdet.data.collection import Collection
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.ilsvrc import IlsvrcFiles
from incdet.data.readers import read_dataset
from incdet.errors import ConfigurationError, DataError
from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.coco_rules import Backend, CocoEvaluation, require_backend
from incdet.evaluation.columns import DetectionColumns
from incdet.evaluation.comparison import bootstrap_interval
from incdet.evaluation.dataset_evaluation import (
    RulesChoice,
    evaluate_dataset,
    remove_report,
    write_network_reports,
    write_report,
    write_submission,
)
from incdet.evaluation.error_analysis import TIDE_NOTE
from incdet.evaluation.operating_points import operating_point
from incdet.evaluation.placed_objects import placed_objects
from incdet.evaluation.plots import missing_plots
from incdet.evaluation.predictions import read_predictions
from incdet.evaluation.report import coco_table, error_table, evaluation_table, networks_table, size_table
from incdet.evaluation.stored_evaluation import load_evaluation
from incdet.ops.decimals import plain_number
from incdet.runtime.files import require_writable_file, require_writable_folder
from incdet.runtime.folder_lock import lock_folder
from incdet.runtime.json_files import json_text
from incdet.runtime.urls import missing_file_hint
from incdet.runtime.worker_processes import num_cores

DEFAULT_FOLDER = Path("runs/evaluation")
"""Folder of a detector's run where none is given."""

AnyEvaluation = Evaluation | CocoEvaluation


@dataclass(frozen=True)
class EvaluationJob:
    """The arguments of `incdet evaluate`, see its help.

    Attributes:
        collection: Layout of the data set.
        root: Folder of the data set.
        split: Split of the data set.
        predictions: Stored detections; None runs the detector.
        blacklist: ILSVRC's blacklist.
        class_map: ILSVRC's class map.
        cache: Folder that keeps proposals and parsed annotations.
        detector: The detector.
        rules: Rules of the judgement.
        coco_backend: Package that computes COCO's numbers.
        output: Folder of the report.
        json_file: File of the numbers; "-" is stdout.
        interval: Whether the interval of mAP is wanted.
        strict: Whether warnings about the data are errors.
        quiet: Whether progress bars are left out.
        cluster: Options of the cluster that runs the detector; None runs it here.
    """

    collection: Collection
    root: Path
    split: str
    predictions: Path | None
    blacklist: Path | None
    class_map: Path | None
    cache: Path
    detector: DetectorChoice
    rules: RulesChoice
    coco_backend: Backend
    output: Path | None
    json_file: Path | None
    interval: bool
    strict: bool
    quiet: bool
    cluster: ClusterOptions | None = None

    def run(self) -> int:
        """Evaluates and returns the exit code: 0, or 1 where a photo failed.

        Raises:
            IncdetError: The options exclude each other, a package is missing, or data or weights cannot be used.
        """
        started = time.perf_counter()
        self._check()
        job = self if self.predictions is not None else replace(self, output=self.output or DEFAULT_FOLDER)
        # a run without a folder writes nothing that another one could write, too
        with nullcontext() if job.output is None else lock_folder(job.output):
            return job._run(started)

    def _check(self) -> None:
        """Refuses, before anything is read, what cannot work."""
        choice = self.detector
        if self.predictions is not None and (choice.weights or choice.members or choice.cascade or choice.each_network):
            raise ConfigurationError(
                "--predictions judges no detector: leave out --weights, --members, --cascade and --each-network"
            )
        if self.predictions is not None and (choice.config or choice.settings):
            raise ConfigurationError(
                "--predictions judges detections as they are: leave out --config, --set, --device and --preset"
            )
        if self.interval and (self.rules == "coco" or (self.predictions is not None and self.output is None)):
            raise ConfigurationError("--interval needs --output, and other rules than coco's; add it or leave it out")
        if self.collection != Collection.ilsvrc and (self.blacklist or self.class_map):
            raise ConfigurationError("--blacklist and --class-map belong to --dataset ilsvrc; leave them out")
        if self.rules == "coco":
            require_backend(self.coco_backend)
        elif self.coco_backend != "pycocotools":
            raise ConfigurationError(f"--coco-backend belongs to coco's rules, not {self.rules}'s; leave it out")
        self._check_files()

    def _check_files(self) -> None:
        """Refuses places that cannot be written to, and weights, settings and predictions that are wrong."""
        if self.json_file is not None and self.json_file != Path("-"):
            require_writable_file(self.json_file)
        if self.predictions is None:
            require_writable_folder(self.output or DEFAULT_FOLDER)
            self.detector.check()
            return
        if self.output is not None:
            require_writable_folder(self.output)
        if not self.predictions.exists():
            found = missing_file_hint(self.predictions, "there is no such file; check --predictions")
            raise DataError(f"cannot read the predictions {self.predictions}: {found}")

    def _run(self, started: float) -> int:
        warnings: list[str] = []
        warn: Warn = _refuse if self.strict else warnings.append
        files = IlsvrcFiles(self.class_map, self.blacklist)
        ground_truth = self.cache / "ground_truth"
        data = read_dataset(self.collection, self.root, self.split, files, ground_truth, num_cores(), warn)
        failures: list[str] = []
        by_network: dict[str, DetectionColumns] = {}
        if self.predictions is not None:
            found = read_predictions(self.predictions, data, warn)
        else:
            data.require_classes(self.detector.check())
            detect = self._detect if self.cluster is None else self._detect_on_cluster
            found, by_network, failures = detect(data)
        self._write_submission(found, data)
        evaluation = evaluate_dataset(data, found, self.rules, self.coco_backend, self.predictions, warn)
        # warnings about the data were told with the whole ensemble
        evaluations = {
            name: evaluate_dataset(data, columns, self.rules, self.coco_backend, None, no_warning)
            for name, columns in by_network.items()
        }
        self._report(evaluation, evaluations, data, started)
        for sentence in warnings:
            warning(sentence)
        return failures_told(failures)

    def _detect(self, data: Dataset) -> tuple[DetectionColumns, dict[str, DetectionColumns], list[str]]:
        """Runs the detector: its detections, those of each network by its name, sentences about photos that failed."""
        from incdet.detector import Detector
        from incdet.evaluation.dataset_detections import detect_dataset

        assert self.output is not None
        choice = self.detector
        config = choice.effective()
        tell_of_compilation(self.quiet)
        detector = Detector.from_pretrained(
            *choice.files(), members=choice.members, cascade=choice.cascade, config=config
        )
        notes.print(f"{detector.scorer.describe()} ({detector.engine.describe()})", markup=False)
        proposals = self.cache / "proposals"
        found = detect_dataset(detector, data, self.output, proposals, choice.each_network, reporter(self.quiet))
        return found.columns, found.by_network, found.failures

    def _detect_on_cluster(self, data: Dataset) -> tuple[DetectionColumns, dict[str, DetectionColumns], list[str]]:
        """Runs the detector on a cluster: its detections, no networks by themselves, sentences about photos."""
        from incdet.cli.cluster_evaluation import detect_dataset_on_cluster
        from incdet.cluster.photo_work import DetectionWork

        assert self.output is not None
        assert self.cluster is not None
        choice, config = self.detector, self.detector.effective()
        # mAP wants every detection, not only those that are shown
        threshold = config.detections.score_threshold
        work = DetectionWork(choice.files(), choice.members, choice.cascade, config, threshold)
        file, failures = detect_dataset_on_cluster(work, data, self.root, self.output, self.cluster, self.quiet)
        return read_predictions(file, data, no_warning), {}, failures

    def _write_submission(self, found: DetectionColumns, data: Dataset) -> None:
        """Writes ILSVRC's form of the detections, where they do not come from it."""
        if self.output is None or self.collection != Collection.ilsvrc:
            return
        if self.predictions is None or ".jsonl" in self.predictions.suffixes:
            notes.print(f"wrote {write_submission(found, data, self.output)}", markup=False)

    def _report(
        self, evaluation: AnyEvaluation, by_network: dict[str, AnyEvaluation], data: Dataset, started: float
    ) -> None:
        """Prints tables, writes the report and the numbers."""
        more: dict[str, Any] = {"dataset": data.name}
        screen = table_console(self.json_file)
        screen.print(evaluation_table(evaluation, f"{data.name}: {evaluation.rules} rules"))
        if isinstance(evaluation, CocoEvaluation):
            screen.print(coco_table(evaluation))
            if self.output is not None:
                if remove_report(self.output):
                    notes.print(f"removed the report of an earlier evaluation in {self.output}", markup=False)
                notes.print("no report: it explains the ilsvrc, voc and voc07 rules", markup=False)
        if isinstance(evaluation, Evaluation):
            pooled, placed = evaluation.pooled_average_precision, placed_objects(evaluation)
            screen.print(f"AP of all classes in one list (pooled): {pooled:.4f}; {placed.describe()}")
            more |= {"pooled_AP": plain_number(pooled), "placed": placed.to_json()}
            if self.output is not None:
                more |= self._explain(evaluation, data, self.output)
        if by_network:
            intervals = self._network_reports(by_network, data)
            screen.print(networks_table(by_network, evaluation, intervals))
            more["networks"] = {name: plain_number(own.mean_average_precision) for name, own in by_network.items()}
        more["seconds"] = round(time.perf_counter() - started, 3)
        write_numbers(self.json_file, json_text(evaluation.to_json() | more))

    def _explain(self, evaluation: Evaluation, data: Dataset, output: Path) -> dict[str, Any]:
        """Writes and prints what explains the number; returns what it adds to the numbers in JSON."""
        screen = table_console(self.json_file)
        threshold = self._display_threshold()
        analysis = write_report(evaluation, data, output, threshold)
        screen.print(error_table(analysis))
        screen.print(TIDE_NOTE, style="dim")
        screen.print(size_table(analysis))
        shown = operating_point(evaluation, threshold)
        screen.print(shown.describe())
        notes.print(f"wrote {output / 'report.html'}", markup=False)
        missing = missing_plots()
        if missing is not None:
            warning(missing)
        explained: dict[str, Any] = {"over_threshold": shown.to_json()}
        if self.interval:
            low, high = bootstrap_interval(load_evaluation(output))
            screen.print(f"mAP over 1000 resampled sets of photos, the middle 95 %: {low:.4f} .. {high:.4f}")
            explained["interval"] = [plain_number(low), plain_number(high)]
        return explained

    def _display_threshold(self) -> float:
        """The score from which the detector shows detections, or the default one for stored detections."""
        return DISPLAY_THRESHOLD if self.predictions is not None else self.detector.display_threshold()

    def _network_reports(self, by_network: dict[str, AnyEvaluation], data: Dataset) -> dict[str, tuple[float, float]]:
        """Writes a report for every network; name -> interval of its mAP, where it is wanted."""
        if self.output is None:
            return {}
        folders = write_network_reports(by_network, data, self.output)
        if not self.interval:
            return {}
        return {name: bootstrap_interval(load_evaluation(folder)) for name, folder in folders.items()}


def _refuse(sentence: str) -> None:
    raise DataError(f"{sentence} (--strict)")
