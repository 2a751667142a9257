"""Sizes, boxes, histograms and neighbours of regions, against a slow reference written from the paper."""

import numpy as np
import pytest
import selective_search_reference as reference
from random_patches import patches, regions_of

from incdet.proposers.region_features import TEXTURE_RANGE, texture_codes


@pytest.mark.parametrize("seed", range(5))
def test_histograms_boxes_and_neighbours_are_those_of_the_reference(seed):
    labels, channels = patches(seed)
    regions = regions_of(labels, channels)
    colors = reference.color_histograms(channels, labels)
    assert np.allclose(regions.colors / regions.colors.sum(axis=1, keepdims=True), colors)
    found = regions.textures / regions.textures.sum(axis=1, keepdims=True)
    textures = reference.texture_histograms(channels, labels, TEXTURE_RANGE)
    # a derivative on the edge of a bin may fall to either side; none of a region's pixels more than a few do
    assert np.abs(found - textures).sum() < 1e-3 * len(regions)
    sizes, boxes, neighbours = reference.regions_of(labels)
    assert regions.boxes.tolist() == boxes.tolist()
    assert regions.sizes.tolist() == sizes.tolist()
    assert sorted(map(tuple, regions.neighbours.tolist())) == sorted(neighbours)


def test_every_pixel_is_counted_once_in_each_histogram():
    labels, channels = patches(7)
    regions = regions_of(labels, channels)
    assert len(regions) == labels.max() + 1
    assert regions.num_pixels == labels.size == regions.sizes.sum()
    assert (regions.colors.reshape(len(regions), 3, 25).sum(axis=2) == regions.sizes[:, None]).all()
    assert (regions.textures.reshape(len(regions), 24, 10).sum(axis=2) == regions.sizes[:, None]).all()


def test_codes_of_a_ramp_tell_its_direction_and_slope():
    """A rise of 15 per pixel along x: the directions are right, down right, down and down left."""
    ramp = np.tile(np.arange(17, dtype=np.uint8) * 15, (17, 1))
    codes = texture_codes(ramp[None])[0, 8, :, 8] - 9.0
    assert codes.tolist() == [2, 1, 0, -1]  # 15 and 10.6 in bins of 6; less than a bin is 0
