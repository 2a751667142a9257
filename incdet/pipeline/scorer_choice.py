"""Loaded networks -> the scorer that classifies regions with them, which depends on the features they learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from incdet.config.sections import ScoresConfig
from incdet.networks.common_classes import common_classes_of
from incdet.networks.engines.selection import Engine, check_shared_features
from incdet.networks.ensemble import LoadedNetwork, Member
from incdet.networks.weights_record import DetectorFeatures, same_preprocessing
from incdet.pipeline.cascade import Cascade, Thresholds
from incdet.pipeline.cropped_regions import CroppedRegionScorer
from incdet.pipeline.naming import NamingScorer
from incdet.pipeline.renaming import FindingScorer, RenamingScorer
from incdet.pipeline.shared_cascade import SharedCascadeScorer
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.runtime.device import choose_batch_size

DetectorScorer = FindingScorer | NamingScorer | RenamingScorer


@dataclass(frozen=True, eq=False)
class ScorerChoice:
    """Makes the scorer of a detector.

    Attributes:
        config: thresholds, rounds, photo sizes and batches.
        device: the device that computes.
        engine: prepares the networks, which belong to it from then on.
    """

    config: ScoresConfig
    device: torch.device
    engine: Engine

    def make(
        self,
        features: DetectorFeatures,
        members: Sequence[LoadedNetwork],
        rejection_network: LoadedNetwork | None,
        finder: LoadedNetwork | None = None,
        namer: LoadedNetwork | None = None,
    ) -> DetectorScorer:
        """Makes the scorer.

        Args:
            features: the features that the networks learnt from, as `detector_features` finds them.
            members: the networks whose probabilities are averaged.
            rejection_network: the network in front of them; None sends every region to the members.
            finder: the network that finds the objects which the members name; None where they find them themselves.
            namer: the network that names once more what the others find; None without one.

        Raises:
            WeightsError: networks that get the same input differ in preprocessing, or classify whole photos.
            ConfigurationError: the architecture of a network cannot share feature maps.
        """
        if finder is not None:
            return self._naming(finder, members)
        scorer = self._finding(features, members, rejection_network)
        if namer is None:
            return scorer
        common = common_classes_of(members[0].record, namer.record)
        # the size of the photo that suits the networks in front need not suit the namer
        own_sides = replace(self._namer([namer]), photo_sides=namer.record.preprocessing.photo_sides)
        return RenamingScorer(scorer, own_sides, common, self.config.min_probability, self.config.scene_exponent)

    def _finding(
        self,
        features: DetectorFeatures,
        members: Sequence[LoadedNetwork],
        rejection_network: LoadedNetwork | None,
    ) -> FindingScorer:
        if features == "shared":
            return self._shared(members)
        if features == "cropped" or rejection_network is None:
            return self._cropped(members, rejection_network)
        # the rejection network and the members get different input, so each part has a preprocessing of its own
        return SharedCascadeScorer(
            self._shared([rejection_network]),
            self._cropped(members, None),
            self.config.min_probability,
            self.config.representative_iou,
            self.config.representative_min_probability,
        )

    def _shared(self, networks: Sequence[LoadedNetwork]) -> SharedRegionScorer:
        preprocessing = same_preprocessing([network.record for network in networks])
        members = [self._ready(network) for network in networks]
        for member in members:
            check_shared_features(member.network)
        return SharedRegionScorer(
            members,
            preprocessing,
            # by default, the photo sizes that the networks learnt from
            self.config.photo_sides or preprocessing.photo_sides,
            self.device,
            choose_batch_size(self.config.batch_size, self.device, shared_features=True),
            # without box deltas, a second round would see the same regions
            self.config.rounds if self.config.box_deltas else 1,
            self.config.round_min_probability,
            # without box deltas, no region leads to the object of its neighbour
            self.config.region_iou if self.config.box_deltas else 1.0,
        )

    def _naming(self, finder: LoadedNetwork, members: Sequence[LoadedNetwork]) -> NamingScorer:
        common = common_classes_of(finder.record, members[0].record)
        return NamingScorer(self._shared([finder]), self._namer(members), common, self.config.min_probability)

    def _namer(self, networks: Sequence[LoadedNetwork]) -> SharedRegionScorer:
        """Networks that classify the regions that they are given, each of them once."""
        return replace(self._shared(networks), rounds=1, region_iou=1.0)

    def _cropped(
        self, members: Sequence[LoadedNetwork], rejection_network: LoadedNetwork | None
    ) -> CroppedRegionScorer:
        in_front = [] if rejection_network is None else [rejection_network]
        preprocessing = same_preprocessing([network.record for network in (*in_front, *members)])
        cascade = Cascade(
            [self._ready(member) for member in members],
            None if rejection_network is None else self._ready(rejection_network),
            Thresholds(self.config.min_probability, self.config.half_resolution_min_probability),
        )
        batch_size = choose_batch_size(self.config.batch_size, self.device)
        return CroppedRegionScorer(cascade, preprocessing, self.device, batch_size)

    def _ready(self, loaded: LoadedNetwork) -> Member:
        """The network on its device, in the precision of the engine."""
        prepared = self.engine.prepare(loaded.network)
        backend = self.engine.backend(prepared, loaded.activation_ranges)
        return Member(prepared, backend, loaded.record.preprocessing.context)
