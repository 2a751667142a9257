"""Hierarchies against a slow reference written from the paper."""

from itertools import pairwise

import numpy as np
import pytest
import selective_search_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from random_patches import patches, regions_of

from incdet.config.sections import Similarity
from incdet.proposers.colors import convert_colors
from incdet.proposers.grouping import group
from incdet.proposers.region_features import TEXTURE_RANGE
from incdet.proposers.segmentation import order_edges, segment

SIMILARITIES = Similarity.__args__


def slow_group(labels, channels, similarity):
    """(merges, boxes of all regions) of the reference, as lists."""
    sizes, boxes, neighbours = reference.regions_of(labels)
    colors = reference.color_histograms(channels, labels)
    textures = reference.texture_histograms(channels, labels, TEXTURE_RANGE)
    merges, boxes = reference.group(sizes, boxes, colors, textures, neighbours, similarity, labels.size)
    return [list(pair) for pair in merges], boxes.tolist()


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("seed", range(3))
def test_merges_are_those_of_the_reference(seed, similarity):
    labels, channels = patches(seed)
    hierarchy = group(regions_of(labels, channels), similarity)
    assert (hierarchy.merges.tolist(), hierarchy.boxes.tolist()) == slow_group(labels, channels, similarity)


@pytest.mark.slow
def test_merges_of_a_photo_are_those_of_the_reference(astronaut):
    channels = convert_colors(astronaut.pixels[40:140, 160:280], "lab")
    labels = segment(order_edges(channels, 0.8), 50, 50)
    assert labels.max() > 20
    hierarchy = group(regions_of(labels, channels), "color_texture_size_fill")
    assert hierarchy.merges.tolist() == slow_group(labels, channels, "color_texture_size_fill")[0]


def test_equal_similarities_are_broken_by_number():
    """Four equal squares: by size alone all pairs are alike."""
    labels = np.kron(np.arange(4, dtype=np.int32).reshape(2, 2), np.ones((5, 5), np.int32))
    hierarchy = group(regions_of(labels, np.zeros((3, 10, 10), np.uint8)), "size")
    assert hierarchy.merges.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_one_region_has_no_merges():
    regions = regions_of(np.zeros((4, 6), np.int32), np.zeros((3, 4, 6), np.uint8))
    hierarchy = group(regions, "color_texture_size_fill")
    assert hierarchy.merges.shape == (0, 2)
    assert hierarchy.boxes.tolist() == [[0, 0, 6, 4]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_other_numbers_for_the_superpixels_give_the_same_regions(seed):
    labels, channels = patches(seed)
    order = np.random.default_rng(seed).permutation(labels.max() + 1).astype(np.int32)
    one = group(regions_of(labels, channels), "color_texture_size_fill")
    other = group(regions_of(order[labels], channels), "color_texture_size_fill")
    assert sorted(one.boxes.tolist()) == sorted(other.boxes.tolist())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SIMILARITIES))
def test_a_mirrored_image_has_mirrored_regions(seed, similarity):
    """Orientations change places, superpixels keep their numbers."""
    labels, channels = patches(seed)
    one = group(regions_of(labels, channels), similarity)
    mirrored = np.ascontiguousarray(labels[:, ::-1]), np.ascontiguousarray(channels[:, :, ::-1])
    other = group(regions_of(*mirrored), similarity)
    width = labels.shape[1]
    assert one.merges.tolist() == other.merges.tolist()
    assert np.array_equal(one.boxes[:, [0, 2]], width - other.boxes[:, [2, 0]])


def test_the_image_with_twice_the_pixels_has_the_same_hierarchy():
    """Colour, size and fill do not know how large a pixel is."""
    labels, channels = patches(3)
    twice = np.ones((2, 2), np.int32)
    large = np.kron(labels, twice), np.stack([np.kron(channel, twice) for channel in channels]).astype(np.uint8)
    one, other = (group(regions_of(*each), "color_size_fill") for each in ((labels, channels), large))
    assert one.merges.tolist() == other.merges.tolist()
    assert np.array_equal(2 * one.boxes, other.boxes)


def test_cuts_are_unions_of_finer_ones(groupings):
    for grouping in groupings:
        for hierarchy in grouping.hierarchies:
            num_superpixels = grouping.labels.max() + 1
            levels = [num for num in (1, 2, 5, 20, num_superpixels) if num <= num_superpixels]
            cuts = [hierarchy.cut(num) for num in levels]
            assert [len(np.unique(cut)) for cut in cuts] == levels
            for coarse, fine in pairwise(cuts):
                assert all(len(np.unique(coarse[fine == region])) == 1 for region in np.unique(fine))
            assert np.array_equal(cuts[-1], np.arange(num_superpixels))


def test_boxes_of_merged_regions_are_those_of_their_pixels(groupings):
    grouping, hierarchy = groupings[0], groupings[0].hierarchies[1]
    labels = hierarchy.cut(12)[grouping.labels]
    for region in np.unique(labels):
        y, x = np.nonzero(labels == region)
        assert hierarchy.boxes[region].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
