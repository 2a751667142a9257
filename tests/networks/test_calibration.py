"""Ranges of a network's maps, against those of a forward pass written out."""

import numpy as np
import pytest
import torch

from incdet.networks.calibration import BINS, activation_ranges, best_range
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.pooling import max_pool


def maps_by_name(network, crops):
    """What enters each convolution, and what leaves each module."""
    norm1 = network.norm1(max_pool(network.conv1(crops), 3, stride=2))
    reduced = network.conv2_reduce(norm1)
    norm2 = network.norm2(network.conv2(reduced))
    found = {"crops": crops, "norm1": norm1, "conv2_reduce": reduced, "norm2": norm2}
    maps = max_pool(norm2, 3, stride=2)
    for stage in "345":
        for name in network.modules_of(stage):
            module = network.get_submodule(f"inception_{name}")
            found[f"inception_{name}.reduce_3x3"] = module.reduce_3x3(maps)
            found[f"inception_{name}.reduce_5x5"] = module.reduce_5x5(maps)
            maps = found[f"inception_{name}"] = module(maps)
        maps = max_pool(maps, 3 if stage == "3" else network.architecture.last_pool, stride=2)
    return found


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return GoogLeNet(3).eval()


@pytest.fixture(scope="module")
def batches():
    """One number of the first stands out; the second has larger ones otherwise."""
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(count, 3, 96, 96, generator=generator) * size for count, size in ((2, 60), (4, 90))]
    batches[0][0, 0, 0, 0] = 5000
    return batches


@torch.inference_mode()
def test_every_map_has_the_range_of_its_own_values_in_all_batches(network, batches):
    found = activation_ranges(network, batches)
    every = [maps_by_name(network, crops) for crops in batches]
    assert found.keys() == every[0].keys()
    expected = {}
    for name in found:
        values = np.concatenate([maps[name].abs().flatten().numpy() for maps in every]).astype(np.float64)
        counts = np.histogram(values[values > 0], BINS, (0, values.max()))[0]
        expected[name] = best_range(counts, values.max())
    assert found == pytest.approx(expected, rel=0.005)
    modules = [name.removesuffix(".reduce_3x3") for name in found if name.endswith(".reduce_3x3")]
    different = [abs(found[f"{name}.reduce_3x3"] / found[f"{name}.reduce_5x5"] - 1) for name in modules]
    assert np.median(different) > 0.02, "these maps could be exchanged unnoticed"


def test_a_number_that_stands_out_is_cut_off(network, batches):
    assert 1000 < activation_ranges(network, batches)["crops"] < 4500


def test_a_map_of_zeros_has_a_range(network):
    assert activation_ranges(network, [torch.zeros(1, 3, 96, 96)])["crops"] == 1e-6
