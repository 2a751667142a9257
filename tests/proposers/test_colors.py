"""Colour spaces against a slow reference, scikit-image and the standard library."""

import colorsys

import numpy as np
import pytest
import selective_search_reference as reference
import skimage.color

from incdet.config.sections import ColorSpace
from incdet.proposers.colors import convert_colors

SPACES = ColorSpace.__args__


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("space", SPACES)
def test_colours_are_those_of_the_reference(space):
    """On levels that are rich in exact halves; Lab's table may round the other way."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
    found, expected = convert_colors(pixels, space).astype(int), reference.convert(pixels, space)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= (1 if space == "lab" else 0)
    assert (found == expected).mean() > 0.99


def test_hsv_is_that_of_the_standard_library():
    pixels = noise(0, 20, 30, 3)
    expected = [[round(255 * part) for part in colorsys.rgb_to_hsv(*(pixel / 255))] for pixel in pixels.reshape(-1, 3)]
    found = convert_colors(pixels, "hsv").reshape(3, -1).T
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_lab_is_that_of_scikit_image():
    pixels = noise(1, 40, 50, 3)
    lab = skimage.color.rgb2lab(pixels)
    expected = np.stack([lab[..., 0] * 2.55, lab[..., 1] + 128, lab[..., 2] + 128])
    assert np.abs(convert_colors(pixels, "lab") - expected).max() < 0.8


@pytest.mark.parametrize("space", SPACES)
def test_every_space_takes_all_of_its_range_and_no_more(space):
    levels = np.array([0, 1, 20, 127, 128, 254, 255], np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(7, 49, 3)
    channels = convert_colors(pixels, space)
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
    difference = convert_colors(bright, space)[kept].astype(int) - convert_colors(bright // 2, space)[kept]
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
        convert_colors(pixels, "lab")


def test_grey_pixels_have_no_colour():
    grey = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    assert np.abs(convert_colors(grey, "lab")[1:].astype(int) - 128).max() <= 1
    assert convert_colors(grey, "hsv")[:2].max() == 0
    assert (convert_colors(grey, "normalized_rgb") == 85).all()
    assert (convert_colors(grey, "c") == np.array([128, 170])[:, None, None]).all()
    assert np.array_equal(convert_colors(grey, "intensity")[0], grey[..., 0])
