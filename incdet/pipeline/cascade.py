"""The cascade in front of an ensemble: cheap stages drop background, so that the members classify few regions.

The idea is that of Viola and Jones 2001; the paper's system has no such stages, `Thresholds(0, 0)` leaves them without
effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incdet.networks.ensemble import Ensemble, Member, split_outputs
from incdet.scores import CascadeStage, Crops, StageOutput

HALF_RESOLUTION_SHRINK = 2
"""The half-resolution stage sees crops with half the pixels along each side, which costs a quarter."""


@dataclass(frozen=True)
class Thresholds:
    """Lowest probability of a class, in [0, 1], with which a region reaches the next stage; 0 lets every region pass.

    Attributes:
        min_probability: threshold between the rejection network and the members of the ensemble.
        half_resolution_min_probability: threshold between the half-resolution stage and the rejection network; 0 leaves
            the half-resolution stage out.
    """

    min_probability: float = 0.0
    half_resolution_min_probability: float = 0.0


@dataclass(frozen=True)
class RejectionStage:
    """A network that decides which regions deserve the next stage.

    Attributes:
        member: the rejection network.
        min_probability: lowest probability of a class, in [0, 1], with which a region passes.
        shrink: factor by which its crops have fewer pixels along each side.
        keeps_feature_maps: whether the members go on from its stages 1 to 3.
        moves_regions: whether its box deltas, if it has a box regressor, are applied.
    """

    member: Member
    min_probability: float
    shrink: int = 1
    keeps_feature_maps: bool = False
    moves_regions: bool = True

    @property
    def contexts(self) -> tuple[int, ...]:
        """The context of the network."""
        return (self.member.context,)

    def __call__(self, crops: Crops, feature_maps: Tensor | None) -> StageOutput:
        """Classifies a batch; see `CascadeStage`."""
        own = crops[self.member.context]
        kept = self.member.backend.trunk(own) if self.keeps_feature_maps else None
        outputs = self.member.backend.full(own) if kept is None else self.member.backend.head(kept)
        probabilities, box_deltas = split_outputs(outputs, self.member.network)
        # without the last column, background
        passed = probabilities[:, :-1].amax(dim=1) >= self.min_probability
        return StageOutput(probabilities, passed, kept, box_deltas if self.moves_regions else None)


@dataclass(frozen=True)
class EnsembleStage:
    """The members; no region passes, because no stage follows."""

    ensemble: Ensemble
    shrink: int = 1

    @property
    def contexts(self) -> tuple[int, ...]:
        """The contexts of the members that start from crops."""
        return self.ensemble.contexts

    def __call__(self, crops: Crops, feature_maps: Tensor | None) -> StageOutput:
        """Classifies a batch; see `CascadeStage`."""
        output = self.ensemble(crops, feature_maps)
        # the end of the cascade
        passed = torch.zeros(len(output.probabilities), dtype=torch.bool)
        return StageOutput(output.probabilities, passed, None, output.box_deltas, output.by_member)


class Cascade:
    """The stages that a region passes; each costs more and sees fewer regions than the one before.

    With a rejection network there are three: the half-resolution stage and the rejection network itself, which is the
    same network at full resolution, and then the ensemble. Regions that do not reach the members, nearly all of them
    background, keep the probabilities of the rejection network. Its box deltas move regions before the members see
    them.

    Args:
        members: the ensemble's networks.
        rejection_network: a network in front of them; None sends every region to the members.
        thresholds: the probabilities with which regions pass; without a rejection network they have no effect.

    Attributes:
        members, rejection_network, thresholds: the arguments.
        stages: the stages in their order.
        num_classes: C, without background.
    """

    def __init__(
        self,
        members: Sequence[Member],
        rejection_network: Member | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.members = tuple(members)
        self.rejection_network = rejection_network
        self.num_classes = self.members[0].network.num_classes - 1
        # where the rejection network moves regions, its feature maps are not those of the regions that members see
        moves = rejection_network is not None and rejection_network.network.box_regressor is not None
        self._ensemble = Ensemble(self.members, None if moves else rejection_network)
        self.thresholds = thresholds or Thresholds()
        self.stages = self._stages()

    def with_thresholds(self, thresholds: Thresholds) -> "Cascade":
        """The same networks with other thresholds."""
        return Cascade(self.members, self.rejection_network, thresholds)

    def prepare(self, size: int) -> None:
        """Begins to make the members ready for crops of a size."""
        self._ensemble.prepare(size)

    def _stages(self) -> tuple[CascadeStage, ...]:
        last = EnsembleStage(self._ensemble)
        network = self.rejection_network
        if network is None:
            return (last,)
        # R-CNN and the paper classify every region by every network; both thresholds at 0 do the same
        full = RejectionStage(
            network, self.thresholds.min_probability, keeps_feature_maps=self._ensemble.takes_feature_maps
        )
        if self.thresholds.half_resolution_min_probability == 0:
            return full, last
        # the box regressor was not fitted to feature maps of smaller crops
        half = RejectionStage(
            network, self.thresholds.half_resolution_min_probability, HALF_RESOLUTION_SHRINK, moves_regions=False
        )
        return half, full, last

    @property
    def network_names(self) -> tuple[str, ...]:
        """Names of the networks, the rejection network, if any, before the members."""
        members = tuple(f"member {number}" for number in range(1, len(self.members) + 1))
        return members if self.rejection_network is None else ("rejection network", *members)

    def describe(self) -> str:
        """One phrase that describes the cascade, for the screen."""
        number = len(self.members)
        members = "1 network" if number == 1 else f"{number} networks, whose probabilities are averaged"
        return members if self.rejection_network is None else f"{members}, behind a rejection network"
