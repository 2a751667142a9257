"""A detector over a whole data set. Region scores stay on disk: a run can be interrupted, and NMS repeated for free."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.dataset import Dataset
from incdet.data.photo_frame import fit_to_annotation
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.errors import ImageError, OutputError
from incdet.images import read_image
from incdet.output.result_lines import differences_in_words
from incdet.pipeline.proposal_cache import ProposalCache, image_key
from incdet.runtime.files import load_arrays, save_arrays, write_text
from incdet.runtime.folder_lock import lock_folder
from incdet.runtime.provenance import RUN_FILE, run_text
from incdet.structures import GroundTruth, Image, RegionScores


class DetectionRun:
    """The detections of a data set's photos. Their region scores lie in `folder/region_scores`, computed where missing.

    Args:
        folder: Folder of the run. Its `run.json` says which detector and settings made the scores.
        detector: The detector, which must know exactly the data set's classes.
        dataset: The data set.
        cache: Cache of proposals.
        each_network: Whether the scores of every network are kept, too.

    Raises:
        DataError: The detector knows other classes than the data set.
        OutputError: The folder holds the scores of another detector, configuration or data set.
    """

    def __init__(
        self, folder: Path, detector: Detector, dataset: Dataset, cache: ProposalCache, each_network: bool = False
    ) -> None:
        require_same_classes(detector, dataset)
        self.folder, self.detector, self.dataset, self.cache = folder, detector, dataset, cache
        self.each_network = each_network
        self.failures: list[str] = []
        self._claim_folder()

    def _claim_folder(self) -> None:
        """Writes the description of everything that decides the scores, or finds an equal one there."""
        description = self.detector.describe() | {"dataset": self.dataset.name}
        # the settings of NMS act after the scores, so they may change from one evaluation to the next
        del description["configuration"]["detections"]
        text = run_text(description)
        file = self.folder / RUN_FILE
        self._lock = lock_folder(self.folder, "region_scores")
        if file.exists() and (stored := file.read_text(encoding="utf-8", errors="replace")) != text:
            self._lock.release()
            raise OutputError(
                f"{self.folder} holds region scores made with other weights, settings or versions "
                f"({_differences(stored, text) or f'see {file}'}); give another folder with --output"
            )
        write_text(file, text)

    def detections(self, report: Callable[[int, str], None]) -> Iterator[list[Detections]]:
        """Yields for every photo the detections of the detector, followed with `each_network` by those of each network.

        A single network is evaluated on the same regions as the detector, in the order of the scorer's
        `network_names`. A photo that cannot be read has no detections and is noted in `failures`.

        Args:
            report: Function that is called with the number of photos done and the name of the next photo.
        """
        for done, (path, truth) in enumerate(self.dataset):
            report(done, truth.image)
            try:
                yield self._detect(path, truth)
            except ImageError as error:
                self.failures.append(str(error))
                networks = self.detector.scorer.network_names if self.each_network else []
                yield [no_detections(truth, self.dataset.class_names)] * (1 + len(networks))
        report(len(self.dataset), "")
        self._lock.release()

    def _detect(self, path: Path, truth: GroundTruth) -> list[Detections]:
        image = Image(read_image(path, self.detector.config.images).pixels, truth.image)
        # the key is a checksum of the pixels, so a photo that was replaced is scored again
        file = self.folder / "region_scores" / f"{truth.image}-{image_key(image)}.npz"
        names = ["boxes", "probabilities"]
        if self.each_network:
            names.append("by_network")
        arrays: dict[str, Any] | None = load_arrays(file, *names)
        if arrays is None or not self._fit(arrays):
            scores = self.detector.score(image, self.cache(image))
            arrays = {name: getattr(scores, name) for name in names}
            save_arrays(file, **arrays)
        # [R, C] of the detector, then of each network in by_network [M, R, C]
        all_probabilities = [arrays["probabilities"]]
        if self.each_network:
            all_probabilities.extend(arrays["by_network"])
        found = []
        for probabilities in all_probabilities:
            detections = self.detector.select(RegionScores(arrays["boxes"], probabilities), image)
            # the annotation may state another size than the photo has, or that of the photo before it was turned
            found.append(fit_to_annotation(detections, truth, path))
        return found

    def _fit(self, arrays: dict[str, Any]) -> bool:
        """Whether stored arrays are region scores of this detector; damaged ones are computed anew."""
        try:
            scores = RegionScores(arrays["boxes"], arrays["probabilities"], arrays.get("by_network"))
        except (ValueError, TypeError, AttributeError):
            return False
        if scores.probabilities.shape[1] != len(self.dataset.class_names):
            return False
        num_networks = len(self.detector.scorer.network_names)
        return not self.each_network or (scores.by_network is not None and len(scores.by_network) == num_networks)


def _differences(stored: str, text: str) -> str:
    """Returns what differs between two descriptions of a run, in words; empty where the first one is none."""
    try:
        then = json.loads(stored)
    except ValueError:
        return ""
    return differences_in_words(then, json.loads(text)) if isinstance(then, dict) else ""


def require_same_classes(detector: Detector, dataset: Dataset) -> None:
    """Raises DataError where a detector knows other classes than a data set, or numbers them differently."""
    dataset.require_classes(detector.class_names)


def no_detections(truth: GroundTruth, class_names: tuple[str, ...]) -> Detections:
    """Returns an empty result for an annotated photo."""
    return Detections(
        image=truth.image,
        # an annotation may state no size, which no line of detections can have
        width=max(truth.width, 1),
        height=max(truth.height, 1),
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        class_ids=np.zeros(0, np.int64),
        class_names=class_names,
    )
