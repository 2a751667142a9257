"""A photo -> detections: the stages in their order, with networks loaded once."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

from incdet.config import Config
from incdet.data.class_names import find_classes
from incdet.detections import select_detections
from incdet.device import choose_device, choose_precision
from incdet.errors import ConfigurationError, ImageError, WeightsError
from incdet.images import ImageSource, read_image
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import (
    WeightsRecord,
    find_weights,
    load_network,
    same_classes,
    sha256,
    shipped_ensemble,
)
from incdet.proposals import Proposers
from incdet.regions import crop_regions
from incdet.scores import Ensemble, Halves, TorchHalves, prepare_network, score_regions
from incdet.structures import Detections, Image, Proposals, RegionScores

Item = TypeVar("Item")


class Detector:
    """The whole system: proposals, regions, ensemble scores, per-class NMS.

    Attributes:
        class_names: the C classes it can find.
        config: everything else that decides what it finds.
        device, precision: where and how precisely the networks compute.
        origin: weights' file name -> SHA-256; empty where networks were given directly.
        roles: file names of the first stage, if any, and of the members; empty likewise.
    """

    def __init__(
        self,
        networks: Sequence[GoogLeNet],
        records: Sequence[WeightsRecord],
        config: Config | None = None,
        cascade: bool = False,
    ) -> None:
        """Takes networks and their records; `from_pretrained` loads them from files.

        Args:
            networks: the members of the ensemble, whose probabilities are averaged.
            records: of the same networks.
            config: everything else.
            cascade: the first network is no member, but a first stage; see `scores.Ensemble` and `config.scores.gate`.

        Raises:
            WeightsError: the members differ in classes or preprocessing, or were not trained on regions.
            ConfigurationError: the device is not there, or a class asked for is unknown.
        """
        if len(networks) <= cascade:
            raise WeightsError(
                "a detector needs at least one network, and one more after a first stage; give more weights or leave "
                "them out for the default"
            )
        for record in records:
            if not record.background:
                raise WeightsError(
                    f"these weights have no background column: they classify whole photos ({record.origin}); "
                    "fine-tune them on regions with tools/train_regions.py"
                )
            if record.preprocessing != records[0].preprocessing:
                raise WeightsError("the ensemble's members differ in preprocessing; give weights that share it")
        self.config = config or Config()
        self.class_names = same_classes(records)
        find_classes(self.config.detections.classes or (), self.class_names, "the detector")
        self.preprocessing = records[0].preprocessing
        self.device = choose_device(self.config.device)
        self.precision = choose_precision(self.config.scores.precision, self.device)
        prepared = [self._prepared(network) for network in networks]
        first_stage = prepared.pop(0) if cascade else None
        self.ensemble = Ensemble(prepared, first_stage, self.config.scores.gate, self._halves)
        self.proposers = Proposers(self.config.proposals, self.config.device)
        self.origin: dict[str, str] = {}
        self.roles: dict[str, list[str]] = {}

    def _prepared(self, network: GoogLeNet) -> GoogLeNet:
        # OpenVINO rounds by itself
        precision = torch.float32 if self.config.scores.engine == "openvino" else self.precision
        return prepare_network(network, self.device, precision)

    def _halves(self, network: GoogLeNet) -> Halves:
        if self.config.scores.engine == "torch":
            return TorchHalves(network)
        if self.device.type != "cpu":
            raise ConfigurationError("scores.engine=openvino computes on the CPU; add device=cpu or leave it out")
        from incdet.networks.openvino_engine import OpenVinoHalves

        return OpenVinoHalves(network, self.precision)

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
        names = weights or shipped_ensemble(members)
        files = [find_weights(name) for name in names]
        networks, records = zip(*(load_network(file) for file in files), strict=True)
        cascade = cascade or (not weights and len(names) > 1)
        detector = cls(networks, records, config, cascade)
        detector.roles = {"first_stage": [file.name for file in files[:cascade]]}
        detector.roles |= {"members": [file.name for file in files[cascade:]]}
        detector.origin = {file.name: sha256(file) for file in files} | detector.proposers.origin
        return detector

    def detect(self, source: ImageSource, watch: "Stopwatch | None" = None) -> Detections:
        """Every detection from `config.detections.score_threshold` on, best first.

        The threshold is low (0.01), as mAP wants it; `found[found.scores >= 0.8]` are those worth showing.

        Args:
            source: a path, encoded bytes, an RGB or grey array, or an `Image`.
            watch: has counted the stages before this one, such as reading the photo.

        Raises:
            ImageError: the photo cannot be read.
        """
        watch = watch or Stopwatch()
        with watch.stage("read"):
            image = read_image(source, self.config.images)
        with watch.stage("proposals"):
            proposals = self.proposers(image)
        scores = self.score(image, proposals, watch)
        with watch.stage("detections"):
            found = self.select(scores, image)
        return replace(found, seconds=watch.seconds)

    def detect_many(
        self, sources: Iterable[ImageSource], on_error: Callable[[ImageSource, ImageError], Any] | None = None
    ) -> Iterator[Detections]:
        """`detect` over many photos, holding one at a time.

        Args:
            sources: any iterable; it is read as the results are consumed. A single photo is one, too.
            on_error: called for a photo that cannot be read, which is then left out; None raises the error.

        Raises:
            ImageError: a photo cannot be read and `on_error` is None.
        """
        single = isinstance(sources, str | Path | bytes | np.ndarray | Image)
        for source in [cast(ImageSource, sources)] if single else sources:
            try:
                yield self.detect(source)
            except ImageError as error:
                if on_error is None:
                    raise
                on_error(source, error)

    def score(self, image: Image, proposals: Proposals, watch: "Stopwatch | None" = None) -> RegionScores:
        """Class probabilities of every proposal; what can be stored, and selected from again and again."""
        watch = watch or Stopwatch()
        batch_size = self.config.scores.batch_size
        crops = crop_regions(image, proposals.boxes, self.preprocessing, self.device, batch_size)
        with watch.stage("scores"):
            timed = watch.items("regions", crops)
            probabilities = score_regions(timed, self.ensemble, len(self.class_names))
        watch.seconds["scores"] -= watch.seconds["regions"]
        return RegionScores(proposals.boxes, probabilities)

    def select(self, scores: RegionScores, image: Image) -> Detections:
        """Detections from region scores, under `config.detections`."""
        return select_detections(scores, image, self.class_names, self.config.detections)


class Stopwatch:
    """Seconds per stage, in the order in which the stages first ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time that the block takes."""
        started = time.perf_counter()
        yield
        self._add(name, started)

    def items(self, name: str, iterable: Iterable[Item]) -> Iterator[Item]:
        """Passes items on and adds the time that making them takes."""
        self.seconds.setdefault(name, 0.0)
        iterator = iter(iterable)
        while True:
            started = time.perf_counter()
            item = next(iterator, None)
            self._add(name, started)
            if item is None:
                return
            yield item

    def _add(self, name: str, started: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
