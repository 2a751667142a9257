"""A photo -> detections: the stages in their order, with networks loaded once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from incdet.config.loading import make_config
from incdet.config.presets import PresetName
from incdet.config.sections import DISPLAY_THRESHOLD, Config
from incdet.detections import Detections
from incdet.errors import ConfigurationError, ImageError
from incdet.images import ImageSource, read_image
from incdet.networks.chosen_weights import check_detector_records, choose_weights
from incdet.networks.engines.selection import Engine
from incdet.networks.ensemble import LoadedNetwork
from incdet.networks.pretrained import load_pretrained
from incdet.networks.weights_origin import Origin, origin_of
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.cropped_regions import CroppedRegionScorer
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.explanation import DetectionExplanation, explain_detections
from incdet.pipeline.scorer_choice import ScorerChoice
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.pipeline.stream import PhotoResult, stream_detections
from incdet.proposals import Proposers
from incdet.runtime.device import choose_device
from incdet.runtime.forks import ProcessMark
from incdet.runtime.start_up import START_UP
from incdet.runtime.stopwatch import Stopwatch, added_seconds
from incdet.structures import Image, Proposals, RegionScores


class Detector:
    """The whole system: proposals, regions, class probabilities, per-class NMS.

    Example:
        >>> detector = Detector.from_pretrained(members=1)  # doctest: +SKIP
        >>> found = detector.detect("photo.jpg")  # doctest: +SKIP
        >>> found[found.scores >= detector.display_threshold].labels  # doctest: +SKIP
        ['cat']

    Args:
        members: the networks of the ensemble, whose probabilities are averaged. They belong to this detector from now
            on, which changes their device and precision.
        rejection_network: a network that picks the regions which the members classify; None sends them all regions.
            Networks on crops take one, which may itself share feature maps.
        config: everything else that decides what is found.
        finder: a network on shared features that finds the objects which the members name; its own classes do not
            matter. None where the members find them themselves.
        namer: a network on shared features that says once more which class the objects are that the others have found;
            see `RenamingScorer`. None leaves it to the others.

    Attributes:
        class_names: the C classes that the detector can find.
        display_threshold: lowest score of a detection worth showing, by the configuration or else the weights.
        config: the configuration, as given.
        device: the device that computes the networks.
        engine: torch or OpenVINO, and the precision.
        features: "shared" where regions are pooled from the feature maps of the whole photo, "cropped" where each is a
            crop of its own, "both" where the rejection network shares feature maps and the members see crops.
        scorer: the networks, which classify the regions of a photo.
        proposers: the proposers, their networks loaded.
        origin: the files that the networks came from; None where networks were given directly.

    Raises:
        WeightsError: there are no members, or the networks differ in classes, features or preprocessing (but for the
            context), or were not trained on regions, or not on the features that the configuration asks for.
        ConfigurationError: the device is not there, a class asked for is unknown, or the architecture of a network
            cannot share feature maps.
    """

    def __init__(
        self,
        members: Sequence[LoadedNetwork],
        rejection_network: LoadedNetwork | None = None,
        config: Config | None = None,
        finder: LoadedNetwork | None = None,
        namer: LoadedNetwork | None = None,
    ) -> None:
        networks = [network for network in (finder, rejection_network, *members, namer) if network is not None]
        self.config = config or Config()
        common = check_detector_records(
            [member.record for member in members],
            None if rejection_network is None else rejection_network.record,
            self.config,
            None if finder is None else finder.record,
            None if namer is None else namer.record,
        )
        self.features, self.class_names = common.features, common.class_names
        self.display_threshold = common.display_threshold
        self.device = choose_device(self.config.device)
        has_ranges = all(network.activation_ranges for network in networks)
        self.engine = Engine(self.config.scores, self.device, [network.network for network in networks], has_ranges)
        choice = ScorerChoice(self.config.scores, self.device, self.engine)
        self.scorer = choice.make(self.features, members, rejection_network, finder, namer)
        shared = self.scorer.shared_scorer
        photo_levels = None if shared is None else shared.store
        scores = self.engine.settled(self.config.scores)
        self.proposers = Proposers(self.config.proposals, self.config.device, photo_levels, scores)
        self.origin: Origin | None = None
        self._made_here = ProcessMark()

    @classmethod
    def from_pretrained(
        cls,
        *weights: str | Path,
        members: int | None = None,
        cascade: bool = False,
        config: Config | None = None,
        preset: PresetName | None = None,
    ) -> "Detector":
        """A detector from shipped weights, given by name, or from files; several make an ensemble.

        Args:
            weights: names or files; none are the shipped ensemble behind the shipped network for shared features, and
                a namer behind both. Where `scores.features` is "shared", they are the first network alone, and where it
                is "cropped", the ensemble behind a rejection network on crops.
            members: number of members of the shipped ensemble; None is all of them.
            cascade: whether the first of the weights is a rejection network, as it is in the shipped ensemble.
            config: everything else that decides what is found.
            preset: a named set of settings: "paper", "default" or "fast"; None is that of the configuration. Settings
                beside a preset are given as `config=Config(preset="fast", ...)`.

        Raises:
            WeightsError: weights are missing, damaged, or do not fit together.
            ConfigurationError: the device is not there, a class asked for is unknown, there are not that many
                members, or a preset is given twice.
        """
        if preset is not None and config is not None:
            raise ConfigurationError(
                f'a detector gets either a preset or a configuration; give config=Config(preset="{preset}", ...)'
            )
        config = config or make_config(Config, {} if preset is None else {"preset": preset}, "preset")
        chosen = choose_weights(weights, members, cascade, config)
        with START_UP.measure("weights"):
            networks = [load_pretrained(file, config.scores) for file in chosen.files]
            rejection_network = networks.pop(0) if chosen.has_rejection_network else None
            finder = None if chosen.finder is None else load_pretrained(chosen.finder, config.scores)
            namer = None if chosen.namer is None else load_pretrained(chosen.namer, config.scores)
            detector = cls(networks, rejection_network, config, finder, namer)
        detector.origin = origin_of(chosen, config.scores, detector.proposers.files)
        return detector

    def with_thresholds(self, thresholds: Thresholds) -> "Detector":
        """The same networks with other thresholds, which the configuration then tells, too.

        Raises:
            ConfigurationError: every network sees every region: there is neither a rejection network nor a namer.
        """
        scorer = self.scorer
        is_alone = isinstance(scorer, CroppedRegionScorer) and "rejection network" not in scorer.network_names
        if is_alone or isinstance(scorer, SharedRegionScorer):
            raise ConfigurationError(
                "thresholds belong to a cascade, but each of these networks sees every region, as none is a rejection "
                "network; give cascade=True, leave scores.features and scores.namer at auto, or give other weights"
            )
        other = copy(self)
        scores = self.config.scores.model_copy(update=asdict(thresholds))
        other.config = self.config.model_copy(update={"scores": scores})
        other.scorer = scorer.with_thresholds(thresholds)
        return other

    def describe(self) -> dict[str, Any]:
        """Everything that decides what is found, for `run.json`."""
        origin = self.origin or Origin({}, None, ())
        features: dict[str, Any] = {"features": self.features}
        shared = self.scorer.shared_scorer
        if shared is not None:
            # where the configuration leaves them to the weights
            features["photo_sides"] = list(shared.photo_sides)
        return origin.describe(self.config, engine=self.engine.describe(), **features)

    def detect(self, source: ImageSource) -> Detections:
        """Every detection from `config.detections.score_threshold` on, best first.

        The threshold is low (0.01), as mAP wants it; `found[found.scores >= detector.display_threshold]` are those
        worth showing.

        Args:
            source: a path, encoded bytes, an RGB or grey array, or an `Image`.

        Raises:
            ImageError: the photo cannot be read.
        """
        self._made_here.require_same("a detector")
        self.scorer.prepare()
        image = read_image(source, self.config.images)
        proposals = self.propose(image)
        scores = self.score(image, proposals)
        found = self.select(scores, image)
        # a file is read again where its detections are drawn, anything else is kept for it
        return found if isinstance(source, str | Path) else replace(found, photo=image.apart_from(source))

    def propose(self, image: Image) -> Proposals:
        """Boxes that may hold an object, best first."""
        self._made_here.require_same("a detector")
        return self.proposers(image)

    def score(self, image: Image, proposals: Proposals, watch: Stopwatch | None = None) -> RegionScores:
        """Class probabilities of every proposal; detections can be selected from them again and again.

        Args:
            image: the photo.
            proposals: its R regions.
            watch: takes the seconds of the photo's feature maps ("features"), where they are shared, of cutting
                crops or pooling regions ("regions") and of the networks ("scores").

        Returns:
            The probabilities, and the boxes: those of the proposals, or where box deltas have moved them.
        """
        self._made_here.require_same("a detector")
        scored = self.scorer(image, proposals.boxes)
        if watch is not None:
            watch.seconds = added_seconds(watch.seconds, scored.seconds)
        return scored.scores

    def select(self, scores: RegionScores, image: Image) -> Detections:
        """Detections from region scores, under `config.detections`."""
        return select_detections(scores, image, self.class_names, self.config.detections)

    def explain(self, proposals: Proposals, scores: RegionScores) -> list[DetectionExplanation]:
        """Tells where each detection of `select` comes from, in the same order.

        Args:
            proposals: the R regions of a photo.
            scores: their class probabilities.
        """
        names, config = self.scorer.network_names, self.config.detections
        return explain_detections(proposals, scores, self.class_names, names, config)

    def detect_many(
        self,
        sources: Iterable[ImageSource],
        on_error: Callable[[ImageSource, ImageError], Any] | None = None,
        num_workers: int = 0,
    ) -> Iterator[Detections]:
        """Detections in many photos, one photo after the other.

        Args:
            sources: any iterable; it is read as the results are consumed. A single photo is welcome, too.
            on_error: called for a photo that cannot be read, which is then left out; None raises the error.
            num_workers: number of prefetching processes; see `photo_results`.

        Raises:
            ImageError: a photo cannot be read and `on_error` is None.
        """
        single = isinstance(sources, str | bytes | bytearray | np.ndarray) or not isinstance(sources, Iterable)
        for photo in self.photo_results([cast(ImageSource, sources)] if single else sources, num_workers):
            if isinstance(photo.result, Detections):
                yield photo.result
            elif on_error is None:
                raise photo.result
            else:
                on_error(photo.source, photo.result)

    def photo_results(self, sources: Iterable[ImageSource], num_workers: int = 0) -> Iterator[PhotoResult]:
        """The result of every photo, in order: the detections of `detect`, or the error in its photo's place.

        Args:
            sources: the photos; read as the results are consumed.
            num_workers: number of processes that read photos and propose regions ahead; on a GPU, batches of crops are
                then filled with regions of several photos. With 0 the result of a photo is there before the next one is
                read. A script that asks for processes needs Python's usual `if __name__ == "__main__":`, because they
                load it, too.
        """
        self._made_here.require_same("a detector")
        return stream_detections(self, sources, num_workers)


def detect(source: ImageSource, score_threshold: float = DISPLAY_THRESHOLD) -> Detections:
    """Detections in one photo with the default weights, which are loaded at the first call.

    Example:
        >>> import skimage.data
        >>> detect(skimage.data.chelsea()).labels  # doctest: +SKIP
        ['cat']

    Args:
        source: a path, encoded bytes, or an RGB or grey array [H, W, 3] or [H, W] uint8.
        score_threshold: lowest score of a detection, in [0, 1]; there are none below 0.01.

    Raises:
        ImageError: the photo cannot be read.
        ConfigurationError: the threshold is no probability.
    """
    if not 0 <= score_threshold <= 1:
        raise ConfigurationError(f"score_threshold is {score_threshold}; expected a probability from 0 to 1")
    found = _default_detector().detect(source)
    return found[found.scores >= score_threshold]


@cache
def _default_detector() -> Detector:
    return Detector.from_pretrained()
