"""GoogLeNet computed by torch, in two halves that an ensemble can share."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.networks.googlenet import GoogLeNet

CPU_ROWS = 8
"""Rows at a time on a CPU: what they leave behind between two layers should stay in its caches."""


def prepare_network(network: GoogLeNet, device: torch.device, precision: torch.dtype) -> GoogLeNet:
    """The network in the form it computes fastest: on the device, in `precision`, channels last, gradients off."""
    network.to(device, precision).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


class TorchHalves:
    """A prepared network's halves, computed by torch.

    On a CPU, a few rows are computed at a time and zeros fill the last ones up to a power of two: oneDNN keeps memory
    for every size that it has seen.
    """

    def __init__(self, network: GoogLeNet):
        self.network = network

    def trunk(self, crops: Tensor) -> Tensor:
        """As `GoogLeNet.trunk_maps`."""
        dtype = self.network.classifier.weight.dtype
        return _in_pieces(self.network.trunk_maps, crops.to(dtype).contiguous(memory_format=torch.channels_last))

    def outputs(self, maps: Tensor) -> Tensor:
        """As `GoogLeNet.outputs`."""
        return _in_pieces(lambda rows: self.network.outputs(rows).float(), maps)


def _in_pieces(compute: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    if rows.device.type != "cpu":
        return compute(rows)
    return torch.cat([compute(_filled_up(piece))[: len(piece)] for piece in torch.split(rows, CPU_ROWS)])


def _filled_up(rows: Tensor) -> Tensor:
    """Rows [B, ...] and zeros after them, up to the next power of two."""
    missing = (1 << (len(rows) - 1).bit_length()) - len(rows) if len(rows) else 0
    return F.pad(rows, [0] * (2 * rows.ndim - 1) + [missing]) if missing else rows
