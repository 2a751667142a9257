"""Networks whose probabilities are averaged, and the looks at a region that they make: each closer and rarer."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from incdet.networks.engines.selection import Backend
from incdet.networks.engines.torch_backend import TorchBackend
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import Preprocessing

HALF_RESOLUTION_SHRINK = 2
"""The coarse look sees crops with so many times fewer pixels along each side, which costs a quarter."""


class Gates(NamedTuple):
    """What a region must show to be looked at more closely: a class at least so probable; 0 lets every region pass.

    Attributes:
        first: in the first stage's answer, to reach the members of the ensemble.
        coarse: in the first stage's answer to a crop with half the pixels along each side, to reach the first stage at
            full size.
    """

    first: float = 0.0
    coarse: float = 0.0


Crops = Mapping[int, Tensor]
"""Pixels of context -> the same B regions, cut with so much of it: [B, 3, S, S], preprocessed."""


class Answer(NamedTuple):
    """What a look at a batch of regions gave.

    Attributes:
        probabilities: [B, columns] float32.
        passed: [B] bool: those that the next look is for.
        maps: of all B, where the next look can use them.
        corrections: [B, 4] float32 of the regions' boxes, where a network with a regression looked; see
            `boxes.apply_box_deltas`.
        by_member: [M, B, columns] float32: what each member says, where they looked.
    """

    probabilities: Tensor
    passed: Tensor
    maps: Tensor | None = None
    corrections: Tensor | None = None
    by_member: Tensor | None = None


@dataclass(frozen=True)
class Look:
    """One of the looks that regions get, each closer and rarer than the one before.

    Attributes:
        answer: (crops by their context, maps of the look before) -> `Answer`, which must not hold views of the crops:
            the next look overwrites them.
        contexts: of the crops; none where it only goes on from the maps.
        shrink: of the crops; see `RegionCropper.crop`.
    """

    answer: Callable[[Crops, Tensor | None], Answer]
    contexts: tuple[int, ...]
    shrink: int = 1


class Ensemble:
    """Networks whose probabilities are averaged (paper, section 7); stages 1 to 3 run once where they are the same.

    Regions are corrected by the first stage's regression, if it has one, before the members look, and then by the mean
    of those that members have.

    Args:
        networks: the M members, prepared.
        rejection_network: a network that looks at every region before the members do.
        gates: which regions the members see where there is a first stage; the others, nearly all of them background,
            keep its answer.
        halves: what computes the first stage, if any, and the members; torch where nothing else is given.
        contexts: pixels of context that the first stage, if any, and the members look at; R-CNN's where nothing else
            is given.
    """

    def __init__(
        self,
        networks: Sequence[GoogLeNet],
        rejection_network: GoogLeNet | None = None,
        gates: Gates | None = None,
        halves: Sequence[Backend] | None = None,
        contexts: Sequence[int] | None = None,
    ) -> None:
        self.gates = gates or Gates()
        self._columns = networks[0].num_classes
        everyone = [*([] if rejection_network is None else [rejection_network]), *networks]
        self._contexts = contexts or [Preprocessing().context] * len(everyone)
        self._trunks = _first_of_their_kind(everyone, self._contexts)[-len(networks) :]
        computed = halves or [TorchBackend(network) for network in everyone]
        self.rejection_network = None if rejection_network is None else computed[0]
        # where it moves regions, what it saw is not what the members see
        self._shares_maps = (
            rejection_network is not None and rejection_network.box_regressor is None and 0 in self._trunks
        )
        self.members = computed[-len(networks) :]

    @property
    def network_names(self) -> list[str]:
        """What the networks are called, the first stage before the members."""
        members = [f"member {number}" for number in range(1, len(self.members) + 1)]
        return members if self.rejection_network is None else ["first stage", *members]

    def describe(self) -> str:
        """In words, for people."""
        number = len(self.members)
        members = "1 network" if number == 1 else f"{number} networks, whose probabilities are averaged"
        return members if self.rejection_network is None else f"{members}, after a first stage that drops background"

    def behind(self, gates: Gates) -> "Ensemble":
        """The same networks behind other gates."""
        other = copy(self)
        other.gates = gates
        return other

    @torch.inference_mode()
    def __call__(self, crops: Crops, maps: Tensor | None = None) -> Answer:
        """The members' mean softmax, and the mean correction of those that have a regression; no region passes.

        Args:
            crops: in every context that a member looks at.
            maps: what the first stage's trunk gave for them, where that is known.
        """
        known = {} if maps is None else {0: maps}
        answers, corrections = [], []
        for member, trunk in zip(self.members, self._trunks, strict=True):
            if trunk not in known and self._trunks.count(trunk) == 1:
                outputs = member.full(crops[self._contexts[trunk]])
            else:
                if trunk not in known:
                    known[trunk] = member.trunk(crops[self._contexts[trunk]])
                outputs = member.head(known[trunk])
            probabilities, correction = _split(outputs, self._columns)
            answers.append(probabilities)
            corrections += [] if correction is None else [correction]
        passed = torch.zeros(len(answers[0]), dtype=torch.bool)
        mean_correction = torch.stack(corrections).mean(dim=0) if corrections else None
        by_member = torch.stack(answers)
        return Answer(by_member.mean(dim=0), passed, corrections=mean_correction, by_member=by_member)

    def looks(self, num_classes: int) -> list[Look]:
        """What happens to a region, from the first look to the last."""
        known = {0} if self._shares_maps else set()
        rest = {self._contexts[trunk] for trunk in set(self._trunks) - known}
        looks = [Look(self, tuple(sorted(rest)))]
        if self.rejection_network is not None:
            contexts = (self._contexts[0],)
            judge = _Judge(
                self.rejection_network, self._columns, self.gates.first, num_classes, keeps_maps=self._shares_maps
            )
            looks.insert(0, Look(judge, contexts))
            if self.gates.coarse > 0:
                # the regression has not seen the maps of smaller crops
                coarse = replace(judge, gate=self.gates.coarse, keeps_maps=False, corrects=False)
                looks.insert(0, Look(coarse, contexts, HALF_RESOLUTION_SHRINK))
        return looks


@dataclass(frozen=True)
class _Judge:
    """A network whose answer decides which regions deserve the next look."""

    network: Backend
    columns: int
    gate: float
    num_classes: int
    keeps_maps: bool
    corrects: bool = True

    def __call__(self, crops: Crops, _: Tensor | None) -> Answer:
        (own,) = crops.values()
        maps = self.network.trunk(own) if self.keeps_maps else None
        outputs = self.network.full(own) if maps is None else self.network.head(maps)
        probabilities, corrections = _split(outputs, self.columns)
        passed = probabilities[:, : self.num_classes].amax(dim=1) >= self.gate
        return Answer(probabilities, passed, maps, corrections if self.corrects else None)


def _split(outputs: Tensor, columns: int) -> tuple[Tensor, Tensor | None]:
    """(probabilities, corrections where there are any) from what a network's upper half gives."""
    return outputs[:, :columns].softmax(dim=1), outputs[:, columns:] if outputs.shape[1] > columns else None


def _first_of_their_kind(networks: Sequence[GoogLeNet], contexts: Sequence[int]) -> list[int]:
    """For each network, the index of the first one whose stages 1 to 3 compute the same from the same crops."""
    kinds = list(zip(networks, contexts, strict=True))
    return [
        next(index for index, (other, seen) in enumerate(kinds) if seen == context and _same_trunk(other, network))
        for network, context in kinds
    ]


def _same_trunk(network: GoogLeNet, other: GoogLeNet) -> bool:
    """Whether stages 1 to 3 of two prepared networks compute the same."""
    if network is other or network.architecture.name != other.architecture.name:
        return network is other
    states = [
        [value for layer in one.lower_layers(3) for value in layer.state_dict().values()] for one in (network, other)
    ]
    return all(torch.equal(first, second) for first, second in zip(*states, strict=True))
