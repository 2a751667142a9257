"""Networks whose probabilities are averaged (paper, section 7); stages 1 to 3 run once where members share them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from incdet.networks.engines.selection import Backend
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import WeightsRecord


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network as its files describe it.

    Attributes:
        network: the weights in float32.
        record: classes, preprocessing and origin, as the file states them.
        activation_ranges: name of a feature map -> its largest value, for eight bits; see `networks/calibration.py`.
    """

    network: GoogLeNet
    record: WeightsRecord
    activation_ranges: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Member:
    """A network that is ready to compute.

    Attributes:
        network: the prepared network; its weights no longer change.
        backend: computes it.
        context: pixels of context on every side of the crops that it was trained with.
    """

    network: GoogLeNet
    backend: Backend
    context: int

    def shares_trunk(self, other: "Member") -> bool:
        """Whether stages 1 to 3 of both compute the same from the same crops."""
        if self.context != other.context:
            return False
        if self.network is other.network:
            return True
        if self.network.architecture.name != other.network.architecture.name:
            return False
        own, others = (_trunk_values(member.network) for member in (self, other))
        return all(torch.equal(one, another) for one, another in zip(own, others, strict=True))


class EnsembleOutput(NamedTuple):
    """What an ensemble says about B regions.

    Attributes:
        probabilities: [B, C + 1] float32, the mean over the members.
        by_member: [M, B, C + 1] float32.
        box_deltas: [B, 4] float32, the mean over the members that have a box regressor; None where none has.
    """

    probabilities: Tensor
    by_member: Tensor
    box_deltas: Tensor | None


@dataclass(frozen=True, eq=False)
class _TrunkGroup:
    """Members whose stages 1 to 3 compute the same.

    Attributes:
        positions: places of these members in the ensemble.
        context: pixels of context of their crops.
        is_given: whether somebody else has computed these stages already.
    """

    positions: tuple[int, ...]
    context: int
    is_given: bool


class Ensemble:
    """Members whose probabilities are averaged.

    Args:
        members: the M networks.
        trunk_source: a network outside the ensemble that hands on the feature maps of its stages 1 to 3; members that
            share them go on from there.

    Attributes:
        members: the M networks, as given.
        contexts: pixels of context of the crops that the members need, ascending.
        takes_feature_maps: whether members go on from the feature maps of `trunk_source`.
    """

    def __init__(self, members: Sequence[Member], trunk_source: Member | None = None) -> None:
        self.members = tuple(members)
        self._groups = _group_by_trunk(self.members, trunk_source)
        self.contexts = tuple(sorted({group.context for group in self._groups if not group.is_given}))
        self.takes_feature_maps = any(group.is_given for group in self._groups)

    def prepare(self, size: int) -> None:
        """Begins to make the members ready that compute crops of a size from end to end."""
        for group in self._groups:
            if len(group.positions) == 1 and not group.is_given:
                self.members[group.positions[0]].backend.prepare_crops(size)

    @torch.inference_mode()
    def __call__(self, crops: Mapping[int, Tensor], feature_maps: Tensor | None = None) -> EnsembleOutput:
        """Classifies B regions.

        Args:
            crops: context -> [B, 3, S, S] float32, for every one of `contexts`.
            feature_maps: [B, channels, H, W] of `trunk_source`, where `takes_feature_maps`.
        """
        outputs: dict[int, Tensor] = {}
        for group in self._groups:
            if len(group.positions) == 1 and not group.is_given:
                # nobody else needs the feature maps in between, and the whole network is faster than its two parts
                (position,) = group.positions
                outputs[position] = self.members[position].backend.full(crops[group.context])
                continue
            shared = feature_maps
            if not group.is_given:
                shared = self.members[group.positions[0]].backend.trunk(crops[group.context])
            assert shared is not None, "the feature maps of the trunk's source are missing"
            for position in group.positions:
                outputs[position] = self.members[position].backend.head(shared)
        answers = [split_outputs(outputs[position], member.network) for position, member in enumerate(self.members)]
        by_member = torch.stack([probabilities for probabilities, _ in answers])
        box_deltas = [deltas for _, deltas in answers if deltas is not None]
        mean_deltas = torch.stack(box_deltas).mean(dim=0) if box_deltas else None
        return EnsembleOutput(by_member.mean(dim=0), by_member, mean_deltas)


def split_outputs(outputs: Tensor, network: GoogLeNet) -> tuple[Tensor, Tensor | None]:
    """What a network's head computes, taken apart.

    Args:
        outputs: [B, C + 1] logits or, where the network has a box regressor, [B, C + 1 + 4] with box deltas after them.
        network: the network.

    Returns:
        Probabilities [B, C + 1], and box deltas [B, 4] or None.
    """
    columns = network.num_classes
    box_deltas = outputs[:, columns:] if outputs.shape[1] > columns else None
    return outputs[:, :columns].softmax(dim=1), box_deltas


def _group_by_trunk(members: Sequence[Member], trunk_source: Member | None) -> list[_TrunkGroup]:
    """The members in groups that share stages 1 to 3, in the order of their first members."""
    groups: list[_TrunkGroup] = []
    left = list(enumerate(members))
    while left:
        first = left[0][1]
        positions = tuple(position for position, member in left if first.shares_trunk(member))
        is_given = trunk_source is not None and trunk_source.shares_trunk(first)
        groups.append(_TrunkGroup(positions, first.context, is_given))
        left = [entry for entry in left if entry[0] not in positions]
    return groups


def _trunk_values(network: GoogLeNet) -> list[Tensor]:
    """All weights of stages 1 to 3."""
    return [value for layer in network.lower_layers(3) for value in layer.state_dict().values()]
