"""A photo -> detections: the stages in their order, with networks loaded once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from incdet.config.class_choice import find_classes
from incdet.config.sections import Config
from incdet.detections import Detections, select_detections
from incdet.errors import ConfigurationError, ImageError, WeightsError
from incdet.images import ImageSource
from incdet.networks.engines.selection import Engine
from incdet.networks.ensemble import Ensemble, Gates
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.sidecar_files import (
    activation_ranges_file,
    box_regressor_file,
    load_activation_ranges,
    load_box_regressor,
)
from incdet.networks.weights import (
    Preprocessing,
    WeightsRecord,
    find_weights,
    load_network,
    named_hashes,
    same_classes,
    shipped_ensemble,
)
from incdet.pipeline.prefetching import Prefetcher
from incdet.proposals import Proposers, no_proposals
from incdet.proposers.photo_crops import PhotoCropper
from incdet.regions import RegionCropper
from incdet.runtime.device import choose_batch_size, choose_device
from incdet.runtime.provenance import describe_run
from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import score_photos
from incdet.structures import Image, Proposals, RegionScores


class Detector:
    """The whole system: proposals, regions, ensemble scores, per-class NMS.

    Attributes:
        class_names: the C classes it can find.
        config: everything else that decides what it finds.
        device, engine: where, by what and how precisely the networks are computed.
        origin: name of each file of weights, and of those beside them -> SHA-256; empty where networks were given
            directly.
        roles: of these names, that of the first stage, if any, and those of the members; empty likewise.
    """

    def __init__(
        self,
        networks: Sequence[GoogLeNet],
        records: Sequence[WeightsRecord],
        config: Config | None = None,
        cascade: bool = False,
        ranges: Sequence[Mapping[str, float]] | None = None,
    ) -> None:
        """Takes networks and their records; `from_pretrained` loads them from files.

        Args:
            networks: the members of the ensemble, whose probabilities are averaged; they are this detector's from now
                on, which changes their device and precision.
            records: of the same networks.
            config: everything else.
            cascade: the first network is a rejection network in front of the ensemble, not a member.
            ranges: of each network's maps, where they are computed in eight bits.

        Raises:
            WeightsError: the members differ in classes or, but for the context, preprocessing, or were not trained on
                regions.
            ConfigurationError: the device is not there, or a class asked for is unknown.
        """
        if len(networks) <= cascade:
            raise WeightsError(
                "a detector needs at least one network, and one more after a first stage; give more weights or leave "
                "them out for the default"
            )
        self.config = config or Config()
        self.preprocessing = _same_preprocessing(records)
        self.class_names = same_classes(records)
        find_classes(self.config.detections.classes or (), self.class_names, "the detector")
        self.device = choose_device(self.config.device)
        scores = self.config.scores
        self.engine = Engine(scores, self.device, networks)
        prepared = [self.engine.prepare(network) for network in networks]
        halves = [self.engine.backend(*pair) for pair in zip(prepared, ranges or [{}] * len(prepared), strict=True)]
        rejection_network = prepared.pop(0) if cascade else None
        contexts = [record.preprocessing.context for record in records]
        self.ensemble = Ensemble(
            prepared,
            rejection_network,
            Gates(scores.min_probability, scores.half_resolution_min_probability),
            halves,
            contexts,
        )
        self.proposers = Proposers(self.config.proposals, self.config.device)
        self.origin: dict[str, str] = {}
        self.roles: dict[str, list[str]] = {}

    @classmethod
    def from_pretrained(
        cls, *weights: str | Path, members: int | None = None, cascade: bool = False, config: Config | None = None
    ) -> "Detector":
        """A detector from shipped weights (by name) or files; several make an ensemble.

        Args:
            weights: none are the shipped ensemble behind its first stage.
            members: so many of the shipped ensemble; None is all of them.
            cascade: the first weights are a first stage, as they are in the shipped ensemble.
            config: everything else.

        Raises:
            WeightsError: weights are missing, damaged, or do not fit together.
            ConfigurationError: the device is not there, a class asked for is unknown, or there are not so many members.
        """
        if weights and members is not None:
            raise ConfigurationError("members of the shipped ensemble and weights exclude each other; give one of them")
        if cascade and not weights:
            raise ConfigurationError("the shipped ensemble is a cascade already; leave out --cascade or give weights")
        config = config or Config()
        files = [find_weights(name) for name in weights or shipped_ensemble(members)]
        networks, records = zip(*(load_network(file) for file in files), strict=True)
        for network, file in zip(networks, files, strict=True):
            if config.scores.box_deltas:
                network.box_regressor = load_box_regressor(file, network.classifier.in_features)
        cascade = cascade or (not weights and len(files) > 1)
        ranges = [load_activation_ranges(file) for file in files] if config.scores.precision == "int8" else None
        detector = cls(networks, records, config, cascade, ranges)
        pairs = zip(networks, files, strict=True)
        beside = [box_regressor_file(file) for network, file in pairs if network.box_regressor is not None]
        beside += [activation_ranges_file(file) for file in files] if ranges else []
        detector.origin = named_hashes([*files, *beside, *detector.proposers.files])
        names = [file.name if file.name in detector.origin else str(file) for file in files]
        detector.roles = {"rejection_network": names[:cascade], "members": names[cascade:]}
        return detector

    def behind(self, gates: Gates) -> "Detector":
        """The same networks behind other gates; the configuration keeps those that it had."""
        other = copy(self)
        other.ensemble = self.ensemble.behind(gates)
        return other

    def describe(self) -> dict[str, Any]:
        """Everything that decides what is found, for `run.json`."""
        return describe_run(self.config, self.origin, ensemble=self.roles, engine=self.engine.describe())

    def detect(self, source: ImageSource) -> Detections:
        """Every detection from `config.detections.score_threshold` on, best first.

        The threshold is low (0.01), as mAP wants it; `found[found.scores >= 0.75]` are those worth showing.

        Args:
            source: a path, encoded bytes, an RGB or grey array, or an `Image`.

        Raises:
            ImageError: the photo cannot be read.
        """
        return next(self.detect_many([source]))

    def detect_many(
        self,
        sources: Iterable[ImageSource],
        on_error: Callable[[ImageSource, ImageError], Any] | None = None,
        num_workers: int = 0,
    ) -> Iterator[Detections]:
        """`detect` over many photos.

        Args:
            sources: any iterable; it is read as the results are consumed. A single photo is one, too.
            on_error: called for a photo that cannot be read, which is then left out; None raises the error.
            num_workers: see `photo_results`.

        Raises:
            ImageError: a photo cannot be read and `on_error` is None.
        """
        single = isinstance(sources, str | bytes | bytearray | np.ndarray) or not isinstance(sources, Iterable)
        for outcome in self.photo_results([cast(ImageSource, sources)] if single else sources, num_workers):
            if isinstance(outcome.result, Detections):
                yield outcome.result
            elif outcome.result is not None:
                if on_error is None:
                    raise outcome.result
                on_error(outcome.source, outcome.result)

    def photo_results(self, sources: Iterable[ImageSource], num_workers: int = 0) -> Iterator["PhotoResult"]:
        """What became of every photo, in order.

        Args:
            sources: the photos, read as the photo_results are consumed.
            num_workers: processes that read photos and propose regions ahead; on a GPU, batches are then filled with
                regions of several photos. With 0 a photo's outcome is there before the next one is read. A script that
                asks for processes needs Python's usual `if __name__ == "__main__":`, because they load it, too.
        """
        under_way: deque[PhotoResult] = deque()
        ahead = Prefetcher(self.config.images, *self._work_ahead(num_workers))

        def photos() -> Iterator[tuple[Image, Proposals]]:
            for source, read in ahead(sources):
                if isinstance(read, ImageError):
                    under_way.append(PhotoResult(source, None, read, {}))
                    # keeps its place in the row
                    yield Image(np.zeros((1, 1, 3), np.uint8)), no_proposals()
                    continue
                watch = Stopwatch(read.seconds)
                with watch.stage("proposals"):
                    rest = self.proposers.find(read.image, known=read.found, photo_crops=read.photo_crops)
                    proposals = self.proposers.join(read.found | rest)
                under_way.append(PhotoResult(source, read.image, None, watch.seconds))
                yield read.image, proposals

        # a CPU computes few regions at a time, whatever the batch
        across_photos = num_workers > 0 and self.device.type == "cuda"
        for scores, seconds in self.score_many(photos(), across_photos):
            outcome = under_way.popleft()
            if outcome.image is None:
                yield outcome
                continue
            watch = Stopwatch(outcome.seconds | seconds)
            with watch.stage("detections"):
                found = self.select(scores, outcome.image)
            yield outcome._replace(result=replace(found, seconds=watch.seconds))

    def _work_ahead(self, num_workers: int) -> tuple[Proposers, int, PhotoCropper | None]:
        """What other processes propose with, their number, and what they do for MultiBox, where it runs on a GPU."""
        if not num_workers or self.device.type == "cpu":
            return self.proposers, num_workers, None
        methods = tuple(method for method in self.config.proposals.methods if method != "multibox")
        others = Proposers(self.config.proposals.model_copy(update={"methods": methods}))
        return others, num_workers, self.proposers.photo_cropper

    def score(self, image: Image, proposals: Proposals, watch: "Stopwatch | None" = None) -> RegionScores:
        """Class probabilities of every proposal; what can be stored, and selected from again and again.

        The boxes are the proposals' where no network has a regression; otherwise the regression has moved them.
        """
        scores, seconds = next(self.score_many([(image, proposals)]))
        if watch is not None:
            watch.seconds |= seconds
        return scores

    def score_many(
        self, photos: Iterable[tuple[Image, Proposals]], across_photos: bool = False
    ) -> Iterator[tuple[RegionScores, dict[str, float]]]:
        """`score` of every photo in order, and the seconds that its crops and the networks took.

        Args:
            photos: read as the results are consumed.
            across_photos: batches hold regions of several photos; see `scores.score_photos`.
        """
        cut = ((RegionCropper(image, self.preprocessing, self.device), proposals.boxes) for image, proposals in photos)
        batch_size = choose_batch_size(self.config.scores.batch_size, self.device)
        arguments = (self.ensemble, len(self.class_names), batch_size, across_photos)
        for photo in score_photos(cut, *arguments):
            yield RegionScores(photo.boxes, photo.probabilities, photo.by_network), photo.seconds

    def select(self, scores: RegionScores, image: Image) -> Detections:
        """Detections from region scores, under `config.detections`."""
        return select_detections(scores, image, self.class_names, self.config.detections)


def _same_preprocessing(records: Sequence[WeightsRecord]) -> Preprocessing:
    """What all networks of a detector expect of a crop, but for the context, which is the first one's."""
    first = records[0].preprocessing
    for record in records:
        if not record.background:
            raise WeightsError(
                f"these weights have no background column: they classify whole photos ({record.origin}); "
                "fine-tune them on regions with tools/train_regions.py"
            )
        if record.preprocessing.model_copy(update={"context": first.context}) != first:
            raise WeightsError("the ensemble's members differ in mean, scale or size; give weights that share them")
    return first


class PhotoResult(NamedTuple):
    """What became of a photo.

    Attributes:
        source: the photo as it was given.
        image: the photo; None where it could not be read.
        result: what was found, or what is wrong; None while the photo is under way.
        seconds: per stage.
    """

    source: ImageSource
    image: Image | None
    result: Detections | ImageError | None
    seconds: dict[str, float]
