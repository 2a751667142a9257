"""Crops -> class probabilities, averaged over the ensemble; background dies here."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.networks.googlenet import GoogLeNet

ROWS = 16
"""Batches are filled up to a multiple of so many rows: oneDNN keeps memory for every size that it has seen."""

LATER_BATCH = 64
"""Regions that pass the first stage wait until they are so many."""


def prepare_network(network: GoogLeNet, device: torch.device, precision: torch.dtype) -> GoogLeNet:
    """The network in the form it computes fastest: on the device, in `precision`, channels last, gradients off."""
    network.to(device, precision).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


class Halves(Protocol):
    """A network in two halves, whatever computes it."""

    def trunk(self, crops: Tensor) -> Tensor:
        """Stages 1 to 3: crops [B, 3, S, S] -> maps."""

    def logits(self, maps: Tensor) -> Tensor:
        """The rest: maps -> [B, columns] float32."""


class TorchHalves:
    """A prepared network's halves, computed by torch."""

    def __init__(self, network: GoogLeNet):
        self.network = network

    def trunk(self, crops: Tensor) -> Tensor:
        """As `GoogLeNet.trunk_maps`."""
        dtype = self.network.classifier.weight.dtype
        return self.network.trunk_maps(crops.to(dtype).contiguous(memory_format=torch.channels_last))

    def logits(self, maps: Tensor) -> Tensor:
        """As the main logits of `GoogLeNet.classify_maps`."""
        return self.network.classify_maps(maps).main.float()


class Ensemble:
    """Networks whose probabilities are averaged (paper, section 7); stages 1 to 3 run once where they are the same.

    Args:
        networks: the M members, prepared.
        first_stage: a network that looks at every region before the members do.
        gate: the members look only at regions where the first stage finds a class at least this probable; the others,
            nearly all of them background, keep its answer.
        halves: what computes a network.
    """

    def __init__(
        self,
        networks: Sequence[GoogLeNet],
        first_stage: GoogLeNet | None = None,
        gate: float = 0.0,
        halves: Callable[[GoogLeNet], Halves] = TorchHalves,
    ) -> None:
        self.gate = gate
        everyone = [*([] if first_stage is None else [first_stage]), *networks]
        trunks = [next(index for index, other in enumerate(everyone) if _same_trunk(other, one)) for one in everyone]
        self._trunks = trunks[-len(networks) :]
        computed = [halves(network) for network in everyone]
        self.first_stage = None if first_stage is None else computed[0]
        self.members = computed[-len(networks) :]

    def describe(self) -> str:
        """In words, for people."""
        number = len(self.members)
        members = "1 network" if number == 1 else f"{number} networks, whose probabilities are averaged"
        return members if self.first_stage is None else f"{members}, after a first stage that drops background"

    @torch.inference_mode()
    def __call__(self, crops: Tensor, maps: Tensor | None = None) -> Tensor:
        """The members' mean softmax [B, columns] float32.

        Args:
            crops: [B, 3, S, S], preprocessed.
            maps: what `trunk_maps` of the first stage gave for them, where that is known.
        """
        inputs = _filled(crops)
        known = {} if maps is None else {0: _filled(maps)}
        total = torch.zeros((), device=crops.device)
        for member, trunk in zip(self.members, self._trunks, strict=True):
            if trunk not in known:
                known[trunk] = member.trunk(inputs)
            total = total + member.logits(known[trunk]).softmax(dim=1)
        return total[: len(crops)] / len(self.members)

    @torch.inference_mode()
    def first_look(self, crops: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first stage's softmax [B, columns], its trunk's maps, and which regions pass the gate [B] bool."""
        assert self.first_stage is not None
        maps = self.first_stage.trunk(_filled(crops))
        probabilities = self.first_stage.logits(maps).softmax(dim=1)[: len(crops)]
        return probabilities, maps[: len(crops)], probabilities[:, :num_classes].amax(dim=1) >= self.gate


def score_regions(batches: Iterable[Tensor], ensemble: Ensemble, num_classes: int) -> np.ndarray:
    """Probabilities [R, C] float32 of all regions in order; a column after the classes is background and is dropped."""
    if ensemble.first_stage is None:
        parts = [ensemble(crops)[:, :num_classes].cpu() for crops in batches]
        return torch.cat(parts).numpy() if parts else np.zeros((0, num_classes), np.float32)
    return _score_in_two_stages(batches, ensemble, num_classes)


def _score_in_two_stages(batches: Iterable[Tensor], ensemble: Ensemble, num_classes: int) -> np.ndarray:
    parts: list[np.ndarray] = [np.zeros((0, num_classes), np.float32)]
    rows: list[int] = []
    later: list[np.ndarray] = []
    waiting: list[tuple[Tensor, Tensor]] = []
    for crops in batches:
        probabilities, maps, passed = ensemble.first_look(crops, num_classes)
        start = sum(map(len, parts))
        rows += (start + passed.nonzero()[:, 0]).tolist()
        parts.append(probabilities[:, :num_classes].cpu().numpy())
        if passed.any():
            waiting.append((crops[passed], maps[passed]))
        if len(rows) - sum(map(len, later)) >= LATER_BATCH:
            later.append(_answers(waiting, ensemble, num_classes))
            waiting = []
    if waiting:
        later.append(_answers(waiting, ensemble, num_classes))
    scores = np.concatenate(parts)
    if rows:
        scores[rows] = np.concatenate(later)
    return scores


def _answers(waiting: list[tuple[Tensor, Tensor]], ensemble: Ensemble, num_classes: int) -> np.ndarray:
    crops, maps = (torch.cat(column) for column in zip(*waiting, strict=True))
    chunks = zip(torch.split(crops, LATER_BATCH), torch.split(maps, LATER_BATCH), strict=True)
    return np.concatenate([ensemble(*chunk)[:, :num_classes].cpu().numpy() for chunk in chunks])


def _filled(rows: Tensor) -> Tensor:
    """Rows [B, ...] and zeros after them, up to a multiple of `ROWS`; few rows stay few."""
    missing = -len(rows) % ROWS if len(rows) > ROWS // 2 else 0
    return F.pad(rows, [0] * (2 * rows.ndim - 1) + [missing]) if missing else rows


def _same_trunk(network: GoogLeNet, other: GoogLeNet) -> bool:
    """Whether stages 1 to 3 of two prepared networks compute the same."""
    if network is other or network.architecture.name != other.architecture.name:
        return network is other
    states = [
        [value for layer in one.lower_layers(3) for value in layer.state_dict().values()] for one in (network, other)
    ]
    return all(torch.equal(first, second) for first, second in zip(*states, strict=True))
