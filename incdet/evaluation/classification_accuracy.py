"""Top-1 and top-5 accuracy on photos of known classes: networks x crops, as the paper's table 3."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from incdet.config.crop_counts import NumCrops
from incdet.config.sections import Config
from incdet.data.imagenet import LabelledPhotos, find_labelled_photos
from incdet.evaluation.top_k import top_k_accuracy
from incdet.images import read_image
from incdet.networks.chosen_weights import check_classifier
from incdet.networks.shipped_weights import find_weights
from incdet.runtime.file_hashes import sha256
from incdet.runtime.files import load_arrays, remove_stale_temporaries, save_arrays
from incdet.runtime.provenance import versions
from incdet.runtime.reporter import SILENT, Reporter

if TYPE_CHECKING:
    from incdet.classifier import Classifier

CHUNK = 50
"""Photos whose probabilities are stored together; an interrupted run loses no more."""


@dataclass(frozen=True)
class AccuracyRow:
    """The accuracy of one combination.

    Attributes:
        networks: Number of networks whose probabilities are averaged.
        crops: Number of crops of a photo.
        top1: Share of photos whose class is the most probable one.
        top5: Share of photos whose class is among the five most probable ones.
    """

    networks: int
    crops: int
    top1: float
    top5: float

    @property
    def cost(self) -> int:
        """Forward passes per photo."""
        return self.networks * self.crops


@dataclass(frozen=True)
class AccuracyTable:
    """The accuracy of every combination; the last row has all networks and the most crops.

    Attributes:
        rows: One row per combination.
        num_images: Number of photos.
    """

    rows: tuple[AccuracyRow, ...]
    num_images: int

    def to_json(self) -> str:
        """The last row and the whole table as one line of JSON."""
        rows = [asdict(row) for row in self.rows]
        return json.dumps({**rows[-1], "num_images": self.num_images, "table": rows})


def measure_accuracy(
    root: Path,
    weights: Sequence[str],
    crops: Sequence[NumCrops],
    labels: Path | None,
    cache: Path,
    config: Config,
    reporter: Reporter = SILENT,
) -> AccuracyTable:
    """Classifies photos with the first network, the first two, and so on, each with every number of crops.

    Args:
        root: Folder of the photos, see `find_labelled_photos`.
        weights: Names or files of the networks.
        crops: Numbers of crops.
        labels: List of the photos' classes; None takes them from the photos' names.
        cache: Folder that keeps probabilities.
        config: Device and precision.
        reporter: Listener.

    Raises:
        IncdetError: The weights or the photos cannot be used.
    """
    photos = find_labelled_photos(root, check_classifier(weights, config), labels, reporter.warn)
    # torch is loaded once weights and photos are known to be right
    from incdet.classifier import Classifier

    rows: list[AccuracyRow] = []
    hashes = [sha256(find_weights(name)) for name in weights]
    for num_crops in crops:
        classifier = Classifier.from_pretrained(*weights, num_crops=num_crops, config=config)
        probabilities = _probabilities(classifier, hashes, photos, cache, reporter)
        for networks in range(1, len(weights) + 1):
            # the ensemble's probabilities are the mean over its networks
            mean = probabilities[:, :networks].mean(axis=1)
            top1 = round(top_k_accuracy(mean, photos.class_ids, 1), 6)
            top5 = round(top_k_accuracy(mean, photos.class_ids, 5), 6)
            rows.append(AccuracyRow(networks, num_crops, top1, top5))
    return AccuracyTable(tuple(rows), len(photos.paths))


def _probabilities(
    classifier: "Classifier", hashes: Sequence[str], photos: LabelledPhotos, cache: Path, reporter: Reporter
) -> np.ndarray:
    """The probabilities of every photo, computed now or in an interrupted run.

    Args:
        classifier: The networks.
        hashes: SHA-256 of their weights.
        photos: The photos.
        cache: Folder that keeps probabilities.
        reporter: Listener.

    Returns:
        [N, M, C] float32, one row per photo and network.
    """
    # the names of folder and files say what decides the numbers: crops, precision, weights and versions, and the photos
    folder = cache / _digest([classifier.num_crops, str(classifier.precision), *hashes, versions()])
    remove_stale_temporaries(folder)
    chunks: list[np.ndarray] = []
    with reporter.progress(f"photos, {classifier.num_crops} crops", len(photos.paths)) as update:
        for start in range(0, len(photos.paths), CHUNK):
            update(start, "")
            paths = photos.paths[start : start + CHUNK]
            states = [(str(path), path.stat()) for path in paths]
            file = folder / f"{_digest([(name, state.st_size, state.st_mtime_ns) for name, state in states])}.npz"
            stored = load_arrays(file, "probabilities")
            # [photos, networks, classes]; a file that is well-formed and wrong counts as damaged, too
            shape = (len(paths), len(hashes), len(classifier.class_names))
            if stored is None or stored["probabilities"].shape != shape or stored["probabilities"].dtype != np.float32:
                stored = {"probabilities": _classify(classifier, paths)}
                save_arrays(file, **stored)
            chunks.append(stored["probabilities"])
        update(len(photos.paths), "")
    return np.concatenate(chunks)


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _classify(classifier: "Classifier", paths: Sequence[Path]) -> np.ndarray:
    images = (read_image(path, classifier.config.images) for path in paths)
    return np.stack([classifier.member_probabilities(image) for image in images])
