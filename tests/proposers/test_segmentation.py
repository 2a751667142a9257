"""Colour spaces and graph-based segmentation, against scikit-image, colorsys and slow references."""

import colorsys

import numpy as np
import pytest
import selective_search_reference as reference
import skimage.color
import skimage.segmentation
from hypothesis import given, settings
from hypothesis import strategies as st

from incdet.config.sections import ColorSpace
from incdet.proposers.colors import convert
from incdet.proposers.convolution import gaussian_taps, slope_taps, smooth
from incdet.proposers.segmentation import order_edges, segment

SPACES = ColorSpace.__args__


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


@pytest.mark.parametrize("space", SPACES)
def test_colours_are_those_of_the_reference(space):
    """On levels that are rich in exact halves; Lab's table may round the other way."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
    found, expected = convert(pixels, space).astype(int), reference.convert(pixels, space)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= (1 if space == "lab" else 0)
    assert (found == expected).mean() > 0.99


def test_hsv_is_that_of_the_standard_library():
    pixels = noise(0, 20, 30, 3)
    expected = [[round(255 * part) for part in colorsys.rgb_to_hsv(*(pixel / 255))] for pixel in pixels.reshape(-1, 3)]
    found = convert(pixels, "hsv").reshape(3, -1).T
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_lab_is_that_of_scikit_image():
    pixels = noise(1, 40, 50, 3)
    lab = skimage.color.rgb2lab(pixels)
    expected = np.stack([lab[..., 0] * 2.55, lab[..., 1] + 128, lab[..., 2] + 128])
    assert np.abs(convert(pixels, "lab") - expected).max() < 0.8


@pytest.mark.parametrize("space", SPACES)
def test_every_space_takes_all_of_its_range_and_no_more(space):
    levels = np.array([0, 1, 20, 127, 128, 254, 255], np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(7, 49, 3)
    channels = convert(pixels, space)
    assert channels.dtype == np.uint8
    assert channels.shape == ({"hue": 1, "intensity": 1, "c": 2}.get(space, 3), 7, 49)
    if space != "lab":  # its a and b do not reach their ends
        assert channels.min(axis=(1, 2)).tolist() == [0] * len(channels)
        assert (channels.max(axis=(1, 2)) >= 254).all()


@pytest.mark.parametrize("space", ["rgi", "hsv", "normalized_rgb", "c", "hue"])
def test_shadows_leave_what_divides_the_intensity_out(space):
    """Uijlings et al. 2013, table 1: these channels do not change with the light's strength."""
    bright = (noise(2, 10, 10, 3) // 2) * 2
    kept = {"rgi": slice(0, 2), "hsv": slice(0, 2)}.get(space, slice(None))
    difference = convert(bright, space)[kept].astype(int) - convert(bright // 2, space)[kept]
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((4, 4, 3), np.nan),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_than_photos_are_refused(pixels):
    with pytest.raises(ValueError, match=r"expected pixels \[H, W, 3\] uint8, got"):
        convert(pixels, "lab")


def test_grey_pixels_have_no_colour():
    grey = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    assert np.abs(convert(grey, "lab")[1:].astype(int) - 128).max() <= 1
    assert convert(grey, "hsv")[:2].max() == 0
    assert (convert(grey, "normalized_rgb") == 85).all()
    assert (convert(grey, "c") == np.array([128, 170])[:, None, None]).all()
    assert np.array_equal(convert(grey, "intensity")[0], grey[..., 0])


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.0, 3.7])
def test_the_blur_is_a_gaussian(sigma):
    """At radius ceil(4 sigma) next to nothing is cut off."""
    taps = gaussian_taps(sigma)
    assert len(taps) == np.ceil(4 * sigma) + 1
    assert taps[0] + 2 * taps[1:].sum() == pytest.approx(1, abs=1e-6)
    assert taps[1] / taps[0] == pytest.approx(np.exp(-0.5 / sigma**2), rel=1e-5)
    impulse = np.zeros((1, 41, 41), np.uint8)
    impulse[0, 20, 20] = 255
    blurred = smooth(impulse, taps)[0] / 255
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    full = np.concatenate([taps[:0:-1], taps])
    size = len(taps) - 1
    window = slice(20 - size, 21 + size)
    assert np.allclose(blurred[window, window], np.outer(full, full), atol=1e-6)


def test_the_border_continues_outside():
    flat = np.full((2, 5, 3), 77, np.uint8)
    assert np.allclose(smooth(flat, gaussian_taps(2.0)), 77, atol=1e-4)
    assert slope_taps(1.0) @ np.arange(5) * 2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 4, 7), (2, 1, 20), (3, 20, 1), (3, 1, 1), (3, 2, 2)])
def test_edges_come_by_weight_then_by_index(shape):
    channels = noise(3, *shape) // 32 * 32
    order = order_edges(channels, 0)
    expected = sorted(edge_list(channels), key=lambda edge: (edge[0], 4 * edge[1] + edge[2]))
    assert order.edges.tolist() == [4 * pixel + direction for _, pixel, direction, _ in expected]
    weights = [(square * 3 / shape[0]) ** 0.5 for square, *_ in expected]
    assert np.allclose(order.weights, weights, atol=1e-4)


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
    channels = convert(astronaut.pixels, "lab")
    found = segment(order_edges(channels, 0.8), 100, 100)
    image = np.ascontiguousarray(channels.transpose(1, 2, 0))
    expected = skimage.segmentation.felzenszwalb(image, 100, sigma=0.8, min_size=100, channel_axis=2)
    assert found.max() == pytest.approx(expected.max(), rel=0.03)
    assert np.bincount(found.ravel()).min() >= 100


def test_labels_are_numbered_by_their_first_pixels(astronaut):
    labels = segment(order_edges(convert(astronaut.pixels, "hsv"), 0.8), 50, 50)
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
    order = order_edges(convert(astronaut.pixels, "lab"), 0.8)
    counts = [segment(order, k, 20).max() + 1 for k in (20, 100, 500, 5000)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 5 * counts[-1]
