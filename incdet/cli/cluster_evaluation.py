"""`incdet evaluate --cluster`: the detections of a data set's photos from a cluster, evaluated as stored ones are."""

from collections.abc import Iterator
from pathlib import Path

from incdet.cli.cluster_batch import node_table, run_with_progress, worker_choice
from incdet.cli.cluster_options import ClusterOptions
from incdet.cli.console import notes
from incdet.cluster.cluster_run import ClusterRun, RunRequest
from incdet.cluster.photo_inputs import Listed, photo_of_path
from incdet.cluster.photo_work import DetectionWork
from incdet.cluster.ray_cluster import require_ray
from incdet.data.dataset import Dataset
from incdet.data.photo_frame import fit_to_annotation
from incdet.errors import ImageError
from incdet.evaluation.dataset_detections import PREDICTIONS
from incdet.evaluation.detection_run import no_detections
from incdet.output.photo_lines import Line, is_error
from incdet.output.result_lines import line_text
from incdet.output.writers import detections_from_json, detections_json
from incdet.runtime.addresses import find_address
from incdet.runtime.files import atomic_file

PARTS_FOLDER = "cluster"
"""Folder of the parts in the folder of the evaluation."""


class DatasetInputs:
    """The photos of a data set as inputs of a cluster's run.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.failures: list[str] = []

    def __iter__(self) -> Iterator[Listed]:
        for path, truth in self._dataset:
            yield photo_of_path(truth.image, path)


def detect_dataset_on_cluster(
    work: DetectionWork, dataset: Dataset, root: Path, folder: Path, options: ClusterOptions, quiet: bool
) -> tuple[Path, list[str]]:
    """Detects in all photos of a data set on a cluster and writes predictions.jsonl.

    Args:
        work: Detection that keeps every detection from `detections.score_threshold` on.
        dataset: The data set.
        root: Folder of the data set, which all nodes must see.
        folder: Folder of the evaluation; it keeps the parts, too.
        options: The cluster's options.
        quiet: Whether nothing but errors is told.

    Returns:
        The file of the detections, and sentences about photos that failed.

    Raises:
        IncdetError: The cluster, the weights or the folder cannot be used.
    """
    require_ray()
    is_address = find_address(root) is not None
    request = RunRequest(
        work=work,
        inputs=DatasetInputs(dataset),
        input_names=[dataset.name, str(root)],
        local_places=[] if is_address else [str(root.absolute())],
        place=str(folder / PARTS_FOLDER),
        form="jsonl",
        part_size=options.part_size,
        workers=worker_choice(options, work),
    )
    with ClusterRun(request) as run:
        run_with_progress(run, options, quiet)
        failures = _write_predictions(run.state.lines(), dataset, folder / PREDICTIONS)
    if not quiet:
        if run.progress.by_node:
            notes.print(node_table(run.progress))
        notes.print(f"wrote {folder / PREDICTIONS}", markup=False)
    return folder / PREDICTIONS, failures


def _write_predictions(lines: Iterator[Line], dataset: Dataset, file: Path) -> list[str]:
    """Writes the lines of all photos, and returns the sentences about those that failed: nothing is found there."""
    photos = {truth.image: (path, truth) for path, truth in dataset}
    failures = []
    with atomic_file(file) as stream:
        for line in lines:
            path, truth = photos[line["image"]]
            try:
                if is_error(line):
                    raise ImageError(str(line["error"]))
                # the annotation may state another size than the photo has
                found = fit_to_annotation(detections_from_json(line, dataset.class_names), truth, path)
            except ImageError as error:
                failures.append(str(error))
                found = no_detections(truth, dataset.class_names)
            stream.write(line_text(detections_json(found)).encode())
    return failures
