"""Blur and derivatives: the masks are Gaussians, and the border continues outside."""

import numpy as np
import pytest
import selective_search_reference as reference

from incdet.proposers.convolution import derivative_taps, filter_column, filter_row, gaussian_taps, smooth


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


def test_no_sigma_is_no_blur():
    channels = np.random.default_rng(0).integers(0, 256, (2, 5, 3), dtype=np.uint8)
    assert np.array_equal(smooth(channels, gaussian_taps(0)), channels)


@pytest.mark.parametrize("shape", [(3, 7, 9), (1, 1, 12), (2, 12, 1)])
def test_the_blur_is_that_of_the_reference(shape):
    channels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.allclose(smooth(channels, gaussian_taps(0.8)), reference.smooth(channels, 0.8), atol=1e-4)


def test_derivatives_of_a_ramp_are_its_slope_along_both_axes():
    """Away from the border, which is as wide as the mask."""
    taps, odd = derivative_taps(1.0), np.float32(-1)
    ramp = np.add.outer(2 * np.arange(13), 3 * np.arange(20)).astype(np.float32)
    out, padded = np.empty(20, np.float32), np.empty(20 + 2 * len(taps) - 2, np.float32)
    filter_row(ramp[6], taps, odd, padded, out)
    assert out[4:-4] == pytest.approx(np.full(12, 3), abs=1e-4)
    filter_column(ramp, 6, taps, odd, out)
    assert out == pytest.approx(np.full(20, 2), abs=1e-4)
