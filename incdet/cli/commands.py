"""What `incdet detect`, `incdet propose` and `incdet classify` do once their arguments are read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from incdet.classifier import Classifier, NumCrops
from incdet.cli.console import notes
from incdet.cli.photo_batch import SHARED, Batch, Line, OutputOptions, Worked, one_by_one
from incdet.config.sections import Config, ProposalsConfig
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.errors import ConfigurationError
from incdet.images import read_image
from incdet.networks.weights import named_hashes
from incdet.output.draw import draw_proposals, save_picture
from incdet.output.draw_hierarchy import draw_hierarchy
from incdet.output.writers import (
    classification_json,
    coco_document,
    csv_text,
    detections_from_json,
    detections_json,
    proposals_json,
    voc_xml,
)
from incdet.pipeline.prefetching import default_num_workers
from incdet.pipeline.stream import PhotoResult
from incdet.proposals import Proposers
from incdet.runtime.files import write_text
from incdet.runtime.provenance import describe_run
from incdet.runtime.stopwatch import Stopwatch
from incdet.runtime.threads import map_in_threads

DETECTION_KINDS = ("image", "json", "coco", "csv", "voc")
PROPOSAL_KINDS = ("image", "json", "hierarchy")
CLASSIFICATION_KINDS = ("json",)

SAVING_THREADS = 2
"""That draw and save what was found in the photos before, beside a GPU."""


class EnsembleChoice(NamedTuple):
    """Which networks detect; see `Detector.from_pretrained`."""

    weights: tuple[str, ...] = ()
    members: int | None = None
    cascade: bool = False

    def detector(self, config: Config) -> Detector:
        """The detector.

        Raises:
            IncdetError: as `Detector.from_pretrained`.
        """
        return Detector.from_pretrained(*self.weights, members=self.members, cascade=self.cascade, config=config)


def run_detect(
    paths: Sequence[str],
    ensemble: EnsembleChoice,
    config: Config,
    options: OutputOptions,
    num_workers: int | None = None,
) -> int:
    """Detects in all photos and returns the exit code: 0, or 1 where a photo failed.

    Args:
        paths: the photos, as the user gave them.
        ensemble: the networks.
        config: everything else that decides what is found.
        options: where results go.
        num_workers: see `Detector.photo_results`; None fits them to the machine.

    Raises:
        IncdetError: the options, the weights or the output folder cannot be used.
    """
    kinds = options.kinds(DETECTION_KINDS)
    _check_engine(config)
    detector = ensemble.detector(config)
    if not options.quiet:
        notes.print(f"{detector.cascade.describe()} ({detector.engine.describe()})", markup=False)
    batch = Batch(paths, options, kinds, "detections", detector.describe())

    def save(done: tuple[Path, PhotoResult]) -> Worked:
        photo, outcome = done
        if not isinstance(outcome.result, Detections):
            return outcome.result
        found = outcome.result[outcome.result.scores >= config.detections.display_threshold]
        if (file := batch.file_of(photo, "image")) and outcome.image is not None:
            save_picture(file, found.draw(outcome.image))
        if file := batch.file_of(photo, "voc"):
            write_text(file, voc_xml(found))
        return detections_json(found, options.timing), found.seconds

    def work(photos: list[Path]) -> Iterator[Worked]:
        on_gpu = detector.device.type == "cuda"
        number = default_num_workers(len(photos), on_gpu) if num_workers is None else num_workers
        photo_results = zip(photos, detector.photo_results(photos, number), strict=True)
        # the thread that feeds a GPU should do nothing else
        return map_in_threads(save, photo_results, SAVING_THREADS if on_gpu else 0)

    batch.run(work, "detecting")
    if batch.folder and batch.lines and any(kind in SHARED for kind in kinds):
        names = detector.class_names
        found = [detections_from_json(line, names) for line in batch.lines]
        if "coco" in kinds:
            write_text(batch.folder.path / SHARED["coco"], json.dumps(coco_document(found, names)) + "\n")
        if "csv" in kinds:
            write_text(batch.folder.path / SHARED["csv"], csv_text(found))
    return batch.finish("json" in kinds)


def run_propose(paths: Sequence[str], config: Config, options: OutputOptions, show_hierarchy: bool = False) -> int:
    """Proposes regions in all photos and returns the exit code: 0, or 1 where a photo failed.

    With `show_hierarchy`, or its kind among those saved, a picture of segmentations and hierarchies is drawn, too.

    Raises:
        IncdetError: the options or the output folder cannot be used.
    """
    kinds = options.kinds(PROPOSAL_KINDS)
    if show_hierarchy and "hierarchy" not in kinds:
        kinds = (*kinds, "hierarchy")
    if "hierarchy" in kinds:
        _check_hierarchies(config.proposals)
    _check_engine(config)
    proposers = Proposers(config.proposals, config.device)
    batch = Batch(paths, options, kinds, "proposals", describe_run(config, named_hashes(proposers.files)))

    def work(photo: Path) -> tuple[Line, Mapping[str, float]]:
        watch = Stopwatch()
        with watch.stage("read"):
            image = read_image(photo, config.images)
        with watch.stage("proposals"):
            proposals = proposers(image)
        if file := batch.file_of(photo, "image"):
            save_picture(file, draw_proposals(image, proposals))
        if file := batch.file_of(photo, "hierarchy"):
            save_picture(file, draw_hierarchy(image, proposals, config.proposals.selective_search))
        return proposals_json(image, proposals, watch.seconds if options.timing else None), watch.seconds

    batch.run(one_by_one(work), "proposing")
    return batch.finish("json" in kinds)


def run_classify(
    paths: Sequence[str], weights: Sequence[str], num_crops: NumCrops, top: int, config: Config, options: OutputOptions
) -> int:
    """Names what all photos show and returns the exit code: 0, or 1 where a photo failed.

    Raises:
        IncdetError: the options, the weights or the output folder cannot be used.
    """
    kinds = options.kinds(CLASSIFICATION_KINDS)
    classifier = Classifier.from_pretrained(*weights, num_crops=num_crops, config=config)
    description = describe_run(config, classifier.origin, crops=num_crops, top=top)
    batch = Batch(paths, options, kinds, "classifications", description)

    def work(photo: Path) -> tuple[Line, Mapping[str, float]]:
        watch = Stopwatch()
        with watch.stage("read"):
            image = read_image(photo, config.images)
        with watch.stage("scores"):
            found = classifier.classify(image)
        return classification_json(found, top), watch.seconds

    batch.run(one_by_one(work), "classifying")
    return batch.finish("json" in kinds)


def _check_hierarchies(config: ProposalsConfig) -> None:
    if config.selective_search.engine == "opencv":
        raise ConfigurationError("OpenCV does not tell its hierarchies; leave out --show-hierarchy or engine=opencv")
    if "selective_search" not in config.methods:
        raise ConfigurationError(
            "only selective search has hierarchies; leave out --show-hierarchy or add it to proposals.methods"
        )


def _check_engine(config: Config) -> None:
    """An engine that is not installed is one error, not one for every photo."""
    if config.proposals.selective_search.engine == "opencv":
        from incdet.proposers.opencv_engine import segmentation_module

        segmentation_module()
