"""Calibration of eight-bit inference: the range of each feature map, measured on real crops or photos with regions."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception
from incdet.ops.region_pooling import pool_regions

BINS = 2048
"""Bins of the histograms of absolute values."""

STEPS = 255
"""Steps of eight bits between zero and the end of the range. Feature maps behind a ReLU are never negative. For the
crops, which have both signs, this is an approximation."""

Observer = Callable[[str, Tensor], None]
"""Receives the name of a feature map and its values [B, channels, H, W]."""


class CalibrationPhoto(NamedTuple):
    """A photo with regions that share its feature maps.

    Attributes:
        photo: [1, 3, H, W] float32, preprocessed.
        regions: [R, 4] float32, as `regions_in_cells` returns them.
    """

    photo: Tensor
    regions: Tensor


def activation_ranges(network: GoogLeNet, batches: Sequence[Tensor] | Sequence[CalibrationPhoto]) -> dict[str, float]:
    """Measures, for each feature map that enters a convolution, the largest value that eight bits should represent.

    It is the end of the range with the smallest squared error: a smaller end cuts off more values, a larger one makes
    the steps coarser.

    Args:
        network: a published network in float32, which is only read.
        batches: preprocessed crops [B, 3, S, S] or, for a network on shared features, photos with regions. The network
            computes them twice.

    Returns:
        Name of the feature map -> end of its range, positive.
    """
    # first pass: the largest absolute value of each feature map
    max_values: dict[str, float] = {}

    def update_maximum(name: str, feature_maps: Tensor) -> None:
        max_values[name] = max(max_values.get(name, 0.0), float(feature_maps.abs().amax()))

    _observe(network, batches, update_maximum)
    # second pass: a histogram of the absolute values, without the zeros, which eight bits represent exactly
    counts = {name: torch.zeros(BINS) for name in max_values}

    def count(name: str, feature_maps: Tensor) -> None:
        values = feature_maps.abs().flatten().float()
        counts[name] += torch.histc(values[values > 0], BINS, 0.0, max(max_values[name], 1e-6))

    _observe(network, batches, count)
    ranges = {}
    for name, max_value in max_values.items():
        # a feature map that is always zero has no range, but OpenVINO needs a positive number
        ranges[name] = max(best_range(counts[name].double().numpy(), max_value), 1e-6)
    return ranges


def best_range(counts: np.ndarray, max_value: float) -> float:
    """Finds the end of the range with the smallest squared error of rounding to `STEPS` steps and cutting off.

    Args:
        counts: [K], numbers of values in K equal bins between 0 and `max_value`.
        max_value: the largest value.

    Returns:
        The upper end of one of the bins.

    >>> best_range(np.array([1e7, 0, 0, 1]), 1.0)  # one value in ten millions is cut off
    0.25
    """
    # [K] candidates for the end of the range, and the values that stand for the bins
    ends = np.arange(1, len(counts) + 1) / len(counts) * max_value
    middles = ends - ends[0] / 2
    # sums of 1, of the values and of their squares over all bins beyond each end, [K] each
    num_beyond, sum_beyond, squares_beyond = (_sum_beyond(counts * middles**power) for power in range(3))
    # the sum of (value - end)^2 over the values beyond the end, expanded
    cut_off = squares_beyond - 2 * ends * sum_beyond + ends**2 * num_beyond
    # a value that is rounded to steps of width w has an expected squared error of w^2 / 12
    rounding = (counts.sum() - num_beyond) * (ends / STEPS) ** 2 / 12
    return float(ends[np.argmin(cut_off + rounding)])


def _sum_beyond(values: np.ndarray) -> np.ndarray:
    """[K] -> sums [K] over the entries behind each entry."""
    sums_from = np.cumsum(values[::-1])[::-1]
    return np.append(sums_from[1:], 0.0)


@torch.inference_mode()
def _observe(network: GoogLeNet, batches: Sequence[Tensor] | Sequence[CalibrationPhoto], observe: Observer) -> None:
    """Runs the network and passes every feature map that enters a convolution to the observer, by name."""

    def observe_input(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, inputs: observe(name, inputs[0])

    def observe_output(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: observe(name, output)

    observed_inputs: dict[str, nn.Module] = {
        "crops": network.conv1,
        "norm1": network.conv2_reduce,
        "conv2_reduce": network.conv2,
    }
    modules = {name: module for name, module in network.named_children() if isinstance(module, Inception)}
    for name, module in modules.items():
        # the reductions run as one joined convolution, which does not call their hooks; their results are the inputs of
        # the convolutions behind them
        observed_inputs |= {f"{name}.reduce_3x3": module.conv_3x3, f"{name}.reduce_5x5": module.conv_5x5}
    observed_outputs = {"norm2": network.norm2, **modules}
    if any(isinstance(batch, CalibrationPhoto) for batch in batches):
        # regions are pooled from the last feature maps of stage 4 as they are, and quantised before stage 5
        last_of_stage_4, first_of_stage_5 = network.modules_of("4")[-1], network.modules_of("5")[0]
        del observed_outputs[f"inception_{last_of_stage_4}"]
        observed_inputs[f"inception_{last_of_stage_4}"] = modules[f"inception_{first_of_stage_5}"]
    hooks = [module.register_forward_pre_hook(observe_input(name)) for name, module in observed_inputs.items()]
    hooks += [module.register_forward_hook(observe_output(name)) for name, module in observed_outputs.items()]
    try:
        for batch in batches:
            if isinstance(batch, CalibrationPhoto):
                network.region_head(pool_regions(network.photo_features(batch.photo), batch.regions))
            else:
                network(batch)
    finally:
        for hook in hooks:
            hook.remove()
