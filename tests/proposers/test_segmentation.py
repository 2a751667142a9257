"""Graph-based segmentation against scikit-image and a slow reference."""

import numpy as np
import pytest
import selective_search_reference as reference
import skimage.segmentation
from hypothesis import given, settings
from hypothesis import strategies as st

from incdet.proposers.colors import convert_colors
from incdet.proposers.segmentation import order_edges, segment


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def edge_list(channels):
    """[(squared distance, pixel, direction, other pixel)] of the 8-connected grid, without blur."""
    _, height, width = channels.shape
    values = channels.astype(int)
    found = []
    for y in range(height):
        for x in range(width):
            for direction, (down, right) in enumerate(((0, 1), (1, 0), (1, 1), (-1, 1))):
                if 0 <= y + down < height and x + right < width:
                    square = ((values[:, y, x] - values[:, y + down, x + right]) ** 2).sum()
                    found.append((square, y * width + x, direction, (y + down) * width + x + right))
    return found


def same_partition(labels, others):
    pairs = {(int(one), int(other)) for one, other in zip(labels.ravel(), others.ravel(), strict=True)}
    return len(pairs) == len(np.unique(labels)) == len(np.unique(others))


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 4, 7), (2, 1, 20), (3, 20, 1), (3, 1, 1), (3, 2, 2)])
def test_edges_come_by_weight_then_by_index(shape):
    channels = noise(3, *shape) // 32 * 32
    order = order_edges(channels, 0)
    expected = sorted(edge_list(channels), key=lambda edge: (edge[0], 4 * edge[1] + edge[2]))
    assert order.edges.tolist() == [4 * pixel + direction for _, pixel, direction, _ in expected]
    weights = [(square * 3 / shape[0]) ** 0.5 for square, *_ in expected]
    assert np.allclose(order.weights, weights, atol=1e-4)


@pytest.mark.parametrize("k", [30, 150])
@pytest.mark.parametrize("min_size", [1, 12])
@pytest.mark.parametrize("space", ["lab", "hue", "c"])
def test_superpixels_are_those_of_the_reference(astronaut, space, k, min_size):
    channels = convert_colors(astronaut.pixels[60:100, 200:250], space)
    found = segment(order_edges(channels, 0.8), k, min_size)
    expected = reference.segment(reference.smooth(channels, 0.8), k, min_size)
    assert np.array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([20.0, 100.0, 300.0, 1000.0]), st.sampled_from([1, 2, 4, 9]))
def test_segmentation_is_that_of_scikit_image(seed, k, min_size):
    """Where no two edges weigh the same: their order is scikit-image's own, and so is its `<` at equal thresholds."""
    channels = noise(seed, 3, 8, 9)
    squares = [square for square, *_ in edge_list(channels)]
    if len(set(squares)) < len(squares):
        return
    found = segment(order_edges(channels, 0), k, min_size)
    image = np.ascontiguousarray(channels.transpose(1, 2, 0))
    expected = skimage.segmentation.felzenszwalb(image, k, sigma=0, min_size=min_size, channel_axis=2)
    assert same_partition(found, expected)


def test_segmentation_of_a_photo_has_as_many_superpixels_as_scikit_images(astronaut):
    channels = convert_colors(astronaut.pixels, "lab")
    found = segment(order_edges(channels, 0.8), 100, 100)
    image = np.ascontiguousarray(channels.transpose(1, 2, 0))
    expected = skimage.segmentation.felzenszwalb(image, 100, sigma=0.8, min_size=100, channel_axis=2)
    assert found.max() == pytest.approx(expected.max(), rel=0.03)
    assert np.bincount(found.ravel()).min() >= 100


def test_labels_are_numbered_by_their_first_pixels(astronaut):
    labels = segment(order_edges(convert_colors(astronaut.pixels, "hsv"), 0.8), 50, 50)
    numbers, first = np.unique(labels, return_index=True)
    assert labels.dtype == np.int32
    assert numbers.tolist() == list(range(len(numbers)))
    assert (np.diff(first) > 0).all()


def test_diagonal_neighbours_belong_together():
    """8-connected: a chessboard falls into its two colours."""
    board = (np.indices((6, 6)).sum(axis=0) % 2 * 200).astype(np.uint8)
    labels = segment(order_edges(board[None], 0), 20, 1)
    assert np.array_equal(labels, board // 200)


def test_larger_k_gives_larger_superpixels(astronaut):
    order = order_edges(convert_colors(astronaut.pixels, "lab"), 0.8)
    counts = [segment(order, k, 20).max() + 1 for k in (20, 100, 500, 5000)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 5 * counts[-1]
