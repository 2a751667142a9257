"""A detector over a whole data set: what it finds, and what each of its networks finds by itself."""

from dataclasses import dataclass
from pathlib import Path

from incdet.data.dataset import Dataset
from incdet.detector import Detector
from incdet.evaluation.columns import DetectionColumns, detection_columns
from incdet.evaluation.detection_run import DetectionRun
from incdet.output.result_lines import line_text
from incdet.output.writers import detections_json
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.files import write_text
from incdet.runtime.reporter import SILENT, Reporter

PREDICTIONS = "predictions.jsonl"
"""File of the detections in the folder of a run."""


@dataclass(frozen=True, eq=False)
class DatasetDetections:
    """The detections of a data set's photos.

    Attributes:
        columns: Detections of the detector.
        by_network: Name of a network -> its own detections on the same regions; empty unless they were asked for.
        failures: Sentences about photos that could not be read.
    """

    columns: DetectionColumns
    by_network: dict[str, DetectionColumns]
    failures: list[str]


def detect_dataset(
    detector: Detector,
    dataset: Dataset,
    folder: Path,
    proposals_folder: Path,
    each_network: bool = False,
    reporter: Reporter = SILENT,
) -> DatasetDetections:
    """Detects in all photos of a data set and writes predictions.jsonl; interrupted, it goes on where it stopped.

    Args:
        detector: Must know exactly the data set's classes.
        dataset: The photos.
        folder: Folder of the run, which keeps region scores and predictions.
        proposals_folder: Folder that keeps proposals for this and later runs.
        each_network: Whether the detections of every network by itself are wanted, too.
        reporter: Listener.

    Raises:
        DataError: The detector knows other classes than the data set.
        OutputError: The folder holds the run of another detector, configuration or data set, or cannot be written to.
    """
    config = detector.config
    proposals = ProposalCache(proposals_folder, config.proposals, config.device, detector.engine.settled(config.scores))
    run = DetectionRun(folder, detector, dataset, proposals, each_network)
    reporter.note(proposals.describe())
    reporter.follow("proposals", proposals.fill(dataset.image_paths, config.images), len(dataset))
    with reporter.progress("regions", len(dataset)) as update:
        rows = list(run.detections(update))
    # a row holds the detector's detections in one photo, then those of every network in it
    found = [row[0] for row in rows]
    lines = [line_text(detections_json(detections)) for detections in found]
    write_text(folder / PREDICTIONS, "".join(lines))
    reporter.note(f"wrote {folder / PREDICTIONS}")
    names = detector.scorer.network_names if each_network else []
    by_network = {name: detection_columns(row[number] for row in rows) for number, name in enumerate(names, 1)}
    return DatasetDetections(detection_columns(found), by_network, run.failures)
