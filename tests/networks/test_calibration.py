"""Ranges of a network's maps, against those of a forward pass written out."""

import numpy as np
import pytest
import torch

from incdet.networks.calibration import BINS, CalibrationPhoto, activation_ranges, best_range
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.pooling import max_pool
from incdet.ops.region_pooling import pool_regions


def maps_by_name(network, crops, regions=None):
    """What enters each convolution, and what leaves each module; with regions, they are pooled before stage 5."""
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
        if stage == "4" and regions is not None:
            maps = found[f"inception_{name}"] = pool_regions(maps, regions)
        else:
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


@pytest.fixture(scope="module")
def photos():
    """Photos of two sizes, with regions inside and partly outside."""
    generator = torch.Generator().manual_seed(2)
    sizes = ((1, 3, 160, 128), (1, 3, 128, 192))
    regions = torch.tensor([[0.0, 0, 7, 7], [-2, -1, 3, 9], [2, 2, 6, 4]])
    return [CalibrationPhoto(torch.randn(size, generator=generator) * 60, regions) for size in sizes]


def assert_ranges_of_all(found, every):
    """Each range is the best one for the values of all batches together."""
    assert found.keys() == every[0].keys()
    expected = {}
    for name in found:
        values = np.concatenate([maps[name].abs().flatten().numpy() for maps in every]).astype(np.float64)
        counts = np.histogram(values[values > 0], BINS, (0, values.max()))[0]
        expected[name] = best_range(counts, values.max())
    assert found == pytest.approx(expected, rel=0.005)


@torch.inference_mode()
def test_every_map_has_the_range_of_its_own_values_in_all_batches(network, batches):
    found = activation_ranges(network, batches)
    assert_ranges_of_all(found, [maps_by_name(network, crops) for crops in batches])
    modules = [name.removesuffix(".reduce_3x3") for name in found if name.endswith(".reduce_3x3")]
    different = [abs(found[f"{name}.reduce_3x3"] / found[f"{name}.reduce_5x5"] - 1) for name in modules]
    assert np.median(different) > 0.02, "these maps could be exchanged unnoticed"


@torch.inference_mode()
def test_with_shared_features_the_range_before_stage_5_is_that_of_pooled_regions(network, batches, photos):
    found = activation_ranges(network, photos)
    assert found.keys() == activation_ranges(network, batches).keys()
    every = [maps_by_name(network, photo.photo, photo.regions) for photo in photos]
    assert_ranges_of_all(found, every)
    whole = max(float(network.photo_features(photo.photo).max()) for photo in photos)
    pooled = max(float(maps["inception_4e"].max()) for maps in every)
    assert pooled < 0.99 * whole, "pooled regions could be exchanged for the photo unnoticed"


def test_a_number_that_stands_out_is_cut_off(network, batches):
    assert 1000 < activation_ranges(network, batches)["crops"] < 4500


def test_a_map_of_zeros_has_a_range(network):
    assert activation_ranges(network, [torch.zeros(1, 3, 96, 96)])["crops"] == 1e-6
