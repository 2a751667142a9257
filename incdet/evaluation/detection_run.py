"""A detector over a whole data set; region scores stay on disk, so it can be interrupted and NMS repeated for free."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from incdet.data.dataset import Dataset
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.errors import DataError, ImageError, OutputError
from incdet.images import read_image
from incdet.pipeline.proposal_cache import ProposalCache, image_key
from incdet.runtime.files import load_arrays, save_arrays, write_text
from incdet.structures import GroundTruth, Image, RegionScores


class DetectionRun:
    """Region scores of a data set's photos in `folder/region_scores`, computed where missing.

    Args:
        folder: of the run; `run.json` in it says what made the scores.
        detector: must know exactly the data set's classes.
        dataset: photos and their names.
        cache: of proposals.
        each_network: scores of every network are kept, too.

    Raises:
        DataError: the detector knows other classes than the data set.
        OutputError: the folder holds the scores of another detector, configuration or data set.
    """

    def __init__(
        self, folder: Path, detector: Detector, dataset: Dataset, cache: ProposalCache, each_network: bool = False
    ) -> None:
        require_same_classes(detector, dataset)
        self.folder, self.detector, self.dataset, self.cache = folder, detector, dataset, cache
        self.each_network = each_network
        self.failures: list[str] = []
        self._claim()

    def _claim(self) -> None:
        """Writes what decides the scores beside them, or finds the same there."""
        detector = self.detector
        description = detector.describe() | {"dataset": self.dataset.name}
        # what comes after the scores may change from one evaluation to the next
        del description["configuration"]["detections"]
        text = json.dumps(description, indent=2, sort_keys=True) + "\n"
        file = self.folder / "run.json"
        if file.exists() and file.read_text() != text:
            raise OutputError(
                f"{self.folder} holds region scores made with other weights, settings or versions (see {file}); give "
                "another folder with --output"
            )
        write_text(file, text)

    def detections(self, report: Callable[[int, str], None]) -> Iterator[list[Detections]]:
        """For every photo what is found, with `each_network` also what each network by itself finds in the same
        regions, in the order of `Ensemble.network_names`; a photo that cannot be read has nothing and is noted in
        `failures`.

        Args:
            report: called with the number of photos done and the next photo's name.
        """
        for done, (path, truth) in enumerate(self.dataset):
            report(done, truth.image)
            try:
                yield self._detect(path, truth)
            except ImageError as error:
                self.failures.append(str(error))
                networks = self.detector.cascade.network_names if self.each_network else []
                yield [no_detections(truth, self.dataset.class_names)] * (1 + len(networks))
        report(len(self.dataset), "")

    def _detect(self, path: Path, truth: GroundTruth) -> list[Detections]:
        read = read_image(path, self.detector.config.images)
        image = Image(read.pixels, truth.image)
        file = self.folder / "region_scores" / f"{truth.image}-{image_key(image)}.npz"
        names = ("boxes", "probabilities", *(["by_network"] if self.each_network else []))
        arrays: dict[str, Any] | None = load_arrays(file, *names)
        if arrays is None:
            scores = self.detector.score(image, self.cache(image))
            arrays = {"boxes": scores.boxes, "probabilities": scores.probabilities}
            arrays |= {"by_network": scores.by_network} if self.each_network else {}
            save_arrays(file, **arrays)
        answers = [arrays["probabilities"], *(arrays["by_network"] if self.each_network else [])]
        found = (self.detector.select(RegionScores(arrays["boxes"], answer), image) for answer in answers)
        return [entry.rescaled(truth.width, truth.height) for entry in found]


def require_same_classes(detector: Detector, dataset: Dataset) -> None:
    """Raises DataError where a detector knows other classes than a data set, or numbers them differently."""
    if detector.class_names != dataset.class_names:
        raise DataError(
            f"the detector knows {len(detector.class_names)} classes ({', '.join(detector.class_names[:3])}, ...), "
            f"{dataset.name} has {len(dataset.class_names)} ({', '.join(dataset.class_names[:3])}, ...); "
            "give weights that were trained for it"
        )


def no_detections(truth: GroundTruth, class_names: tuple[str, ...]) -> Detections:
    """An empty result for an annotated photo."""
    from incdet.output.writers import detections_from_json

    line = {"image": truth.image, "width": truth.width, "height": truth.height, "detections": []}
    return detections_from_json(line, class_names)
