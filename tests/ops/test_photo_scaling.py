"""Sizes to which whole photos are brought."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incdet.ops.photo_scaling import MAX_ASPECT_RATIO, MIN_SIDE, SIDE_STEP, resize_photo, scaled_size


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(96, 1200))
def test_sides_are_multiples_between_limits(width, height, side):
    new = scaled_size(width, height, side)
    assert all(length % SIDE_STEP == 0 and length >= MIN_SIDE for length in new)
    assert max(new) <= max(MAX_ASPECT_RATIO * side, MIN_SIDE) + SIDE_STEP / 2
    # a turned photo has a turned size
    assert scaled_size(height, width, side) == new[::-1]
    if max(width, height) <= MAX_ASPECT_RATIO * min(width, height):
        assert abs(min(new) - side) <= SIDE_STEP / 2
        # the rounding of both sides is all that changes the shape
        assert abs(new[0] / new[1] / (width / height) - 1) <= SIDE_STEP / min(new)


@pytest.mark.parametrize("size", [(40, 30), (90, 70), (300, 200)])
def test_a_resized_photo_keeps_its_colours_in_their_places(size):
    # red rises from left to right, green from top to bottom
    rows, columns = np.mgrid[0:70, 0:90]
    pixels = np.stack([columns * 2, rows * 3, np.full_like(rows, 9)], axis=2).astype(np.uint8)
    resized = resize_photo(pixels, *size)
    assert resized.shape == (size[1], size[0], 3)
    expected_red = ((np.arange(size[0]) + 0.5) / size[0] * 90 - 0.5) * 2
    expected_green = ((np.arange(size[1]) + 0.5) / size[1] * 70 - 0.5) * 3
    inner = slice(2, -2)
    assert np.abs(resized[:, inner, 0] - expected_red[inner]).max() <= 2.5
    assert np.abs(resized[inner, :, 1] - expected_green[inner, None]).max() <= 3.5
    assert (resized[:, :, 2] == 9).all()
