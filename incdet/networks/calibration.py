"""What eight bits must stand for: the ranges of a network's maps, measured on real crops."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception

BINS = 2048
STEPS = 255

Watch = Callable[[str, Tensor], None]


def activation_ranges(network: GoogLeNet, batches: Sequence[Tensor]) -> dict[str, float]:
    """Name of each map that enters a convolution -> the largest value that eight bits should stand for.

    It is the one with the least squared error: a smaller one cuts off more, a larger one rounds more coarsely.

    Args:
        network: as published, in float32.
        batches: crops [B, 3, S, S], preprocessed; they are looked at twice.
    """
    largest: dict[str, float] = {}

    def keep_largest(name: str, maps: Tensor) -> None:
        largest[name] = max(largest.get(name, 0.0), float(maps.abs().amax()))

    _observe(network, batches, keep_largest)
    counts = {name: torch.zeros(BINS) for name in largest}

    def count(name: str, maps: Tensor) -> None:
        values = maps.abs().flatten().float()
        counts[name] += torch.histc(values[values > 0], BINS, 0.0, max(largest[name], 1e-6))

    _observe(network, batches, count)
    # a map that is always zero has no range, but needs a number
    return {name: max(best_range(counts[name].double().numpy(), largest[name]), 1e-6) for name in largest}


def best_range(counts: np.ndarray, largest: float) -> float:
    """The end of the range with the least squared error of rounding to `STEPS` steps and cutting off.

    Args:
        counts: [K], how many values lie in each of K bins between 0 and `largest`.
        largest: of the values.

    >>> best_range(np.array([1e7, 0, 0, 1]), 1.0)  # one value in ten millions is cut off
    0.25
    """
    ends = np.arange(1, len(counts) + 1) / len(counts) * largest
    middles = ends - ends[0] / 2
    # sums over the values beyond each end, by which the squares can be expanded
    beyond = [np.append(np.cumsum((counts * middles**power)[::-1])[::-1][1:], 0.0) for power in range(3)]
    cut_off = beyond[2] - 2 * ends * beyond[1] + ends**2 * beyond[0]
    rounding = (counts.sum() - beyond[0]) * (ends / STEPS) ** 2 / 12
    return float(ends[np.argmin(cut_off + rounding)])


@torch.inference_mode()
def _observe(network: GoogLeNet, batches: Sequence[Tensor], watch: Watch) -> None:
    """Runs the network and shows the maps that enter its convolutions, by name."""

    def before(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, inputs: watch(name, inputs[0])

    def after(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: watch(name, output)

    entering = {"crops": network.conv1, "norm1": network.conv2_reduce, "conv2_reduce": network.conv2}
    modules = {name: module for name, module in network.named_children() if isinstance(module, Inception)}
    for name, module in modules.items():
        # the reductions run as one convolution, which hooks of theirs do not see
        entering |= {f"{name}.reduce_3x3": module.conv_3x3, f"{name}.reduce_5x5": module.conv_5x5}
    hooks = [module.register_forward_pre_hook(before(name)) for name, module in entering.items()]
    leaving = {"norm2": network.norm2, **modules}
    hooks += [module.register_forward_hook(after(name)) for name, module in leaving.items()]
    try:
        for crops in batches:
            network(crops)
    finally:
        for hook in hooks:
            hook.remove()
