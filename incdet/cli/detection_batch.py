"""Detection in all photos that `incdet detect` was given."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from incdet.cli.console import notes
from incdet.cli.given_photos import GivenPhotos
from incdet.cli.output_options import OutputOptions
from incdet.cli.photo_batch import SHARED, Batch, Worked
from incdet.config.sections import Config
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.output.detection_files import save_photo_files
from incdet.output.labelling_writers import cvat_xml
from incdet.output.photo_lines import detection_line, shown_detections
from incdet.output.result_folder import ResultFolder
from incdet.output.writers import coco_document, csv_text, detections_from_json
from incdet.pipeline.prefetching import default_num_workers
from incdet.pipeline.stream import PhotoResult
from incdet.runtime.files import write_text
from incdet.runtime.thread_queue import map_in_threads

SAVING_THREADS = 2
"""Threads that draw and save the results of earlier photos while a GPU works on the next ones."""


class EnsembleChoice(NamedTuple):
    """The networks that detect, see `Detector.from_pretrained`."""

    weights: tuple[str, ...] = ()
    members: int | None = None
    cascade: bool = False

    def detector(self, config: Config) -> Detector:
        """The detector.

        Raises:
            IncdetError: As `Detector.from_pretrained`.
        """
        return Detector.from_pretrained(*self.weights, members=self.members, cascade=self.cascade, config=config)


def detect_photos(
    given: GivenPhotos,
    kinds: tuple[str, ...],
    ensemble: EnsembleChoice,
    config: Config,
    options: OutputOptions,
    num_workers: int | None = None,
) -> int:
    """Detects in all photos and returns the exit code: 0, or 1 where a photo failed.

    Args:
        given: Photos.
        kinds: Kinds of files that are written.
        ensemble: The networks.
        config: Everything else that decides the detections.
        options: Places of the results.
        num_workers: Processes, see `Detector.photo_results`; None fits their number to the machine.

    Raises:
        IncdetError: The options, the weights or the output folder cannot be used.
    """
    detector = ensemble.detector(config)
    if not options.quiet:
        notes.print(f"{detector.scorer.describe()} ({detector.engine.describe()})", markup=False)
    batch = Batch(given, options, kinds, "detections", detector.describe())
    on_gpu = detector.device.type == "cuda"

    def save(done: tuple[Path, PhotoResult]) -> Worked:
        photo, photo_result = done
        return _save(batch, photo, photo_result, detector.display_threshold)

    def work(photos: list[Path]) -> Iterator[Worked]:
        workers = default_num_workers(len(photos), on_gpu) if num_workers is None else num_workers
        photo_results = zip(photos, detector.photo_results(map(given.source, photos), workers), strict=True)
        # the thread that feeds a GPU should do nothing else
        return map_in_threads(save, photo_results, SAVING_THREADS if on_gpu else 0)

    batch.run(work, "detecting")
    return batch.finish("json" in kinds, partial(_write_shared_files, kinds, detector.class_names))


def _save(batch: Batch, photo: Path, photo_result: PhotoResult, display_threshold: float) -> Worked:
    """Writes the files of one photo and returns its line and its seconds, or the error that it ended with."""
    if not isinstance(photo_result.result, Detections):
        return photo_result.result
    everything = photo_result.result
    found = shown_detections(everything, display_threshold)
    assert photo_result.image is not None
    save_photo_files(partial(batch.file_of, photo), found, photo_result.image, photo)
    return detection_line(everything, display_threshold, batch.options.timing), found.seconds


def _write_shared_files(kinds: tuple[str, ...], class_names: tuple[str, ...], folder: ResultFolder) -> None:
    """Writes the files about all photos of a folder, from the lines, which hold those of earlier runs, too."""
    # files of an earlier run are kept complete, whether or not they were asked for again
    kept = [kind for kind, name in SHARED.items() if folder.is_described and (folder.path / name).exists()]
    written = [kind for kind in SHARED if kind in kinds or kind in kept]
    if not written:
        return
    found = []
    for photo, line in folder.done.items():
        # tables name photos as they lie in the folder that was searched
        name = folder.records[photo].name if photo in folder.records else photo
        found.append(replace(detections_from_json(line, class_names), image=name))
    texts = {
        "coco": lambda: json.dumps(coco_document(found, class_names)) + "\n",
        "csv": lambda: csv_text(found),
        "cvat": lambda: cvat_xml(found),
        "yolo": lambda: "".join(f"{name}\n" for name in class_names),
    }
    for kind in written:
        write_text(folder.path / SHARED[kind], texts[kind]())
