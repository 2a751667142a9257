"""The classifier's training crops against their definitions."""

from collections import Counter

import cv2
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest
from running_tools import run_tool

from incdet.config.loading import make_config
from incdet.errors import ConfigurationError
from incdet.training.samples import distortions
from incdet.training.samples.distortions import (
    INTERPOLATIONS,
    PRINCIPAL_AMOUNTS,
    PRINCIPAL_COLORS,
    DistortionsConfig,
    distort_colors,
    distorted_crop,
    principal_noise,
    sample_area,
)

NOTHING = DistortionsConfig(
    area=(1.0, 1.0), aspect=(1.0, 1.0), flip_probability=0.0, photometric=0.0, noise=0.0, interpolations=("area",)
)


def generator(seed=0):
    return np.random.default_rng(seed)


def quantiles_of_uniform(values, low, high):
    """The largest distance between a sample's distribution and the even one (Kolmogorov-Smirnov)."""
    ordered = (np.sort(values) - low) / (high - low)
    return np.abs(ordered - (np.arange(len(values)) + 0.5) / len(values)).max()


def test_areas_are_even_between_8_and_100_percent_and_log_aspects_between_3_4_and_4_3():
    """In a photo so wide that every shape fits; a thousandth of samples is beyond 1.95 / sqrt(n)."""
    random, config = generator(), DistortionsConfig(area=(0.08, 0.2))
    boxes = np.array([sample_area(3000, 3000, config, random) for _ in range(4000)])
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    limit = 1.95 / np.sqrt(len(boxes))
    assert quantiles_of_uniform(width * height / 9e6, 0.08, 0.2) < limit
    assert quantiles_of_uniform(np.log(width / height), np.log(3 / 4), np.log(4 / 3)) < limit
    assert quantiles_of_uniform(boxes[:, 0] / (3000 - width), 0, 1) < limit
    assert quantiles_of_uniform(boxes[:, 1] / (3000 - height), 0, 1) < limit


@pytest.mark.parametrize(("width", "height"), [(500, 375), (64, 64), (1, 1), (1, 900), (2000, 3)])
def test_areas_lie_inside_and_keep_their_limits(width, height):
    random, config = generator(1), DistortionsConfig()
    for _ in range(300):
        left, top, right, bottom = sample_area(width, height, config, random)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        if min(width, height) > 60:
            share, aspect = (right - left) * (bottom - top) / (width * height), (right - left) / (bottom - top)
            assert 0.075 < share <= 1
            assert 0.7 < aspect < 1.43


def test_a_strip_gets_its_middle_in_the_nearest_shape():
    assert sample_area(4000, 100, DistortionsConfig(area=(0.9, 1.0)), generator()) == (1933, 0, 2066, 100)


def test_without_distortions_the_photo_is_only_resized(astronaut):
    found, noise = distorted_crop(astronaut.pixels, 100, NOTHING, generator())
    assert np.array_equal(found, cv2.resize(astronaut.pixels, (100, 100), interpolation=cv2.INTER_AREA))
    assert noise.tolist() == [0, 0, 0]


def test_the_seed_decides_everything(astronaut):
    one, same, other = (
        distorted_crop(astronaut.pixels, 64, DistortionsConfig(), generator(seed)) for seed in (5, 5, 6)
    )
    assert all(map(np.array_equal, one, same))
    assert not any(map(np.array_equal, one, other))


def test_half_of_the_crops_are_mirrored_and_interpolations_have_equal_odds(astronaut, monkeypatch):
    used = []

    def resize(pixels, size, interpolation):
        used.append(interpolation)
        return np.tile(np.linspace(0, 255, size[0], dtype=np.uint8)[None, :, None], (size[1], 1, 3))

    monkeypatch.setattr(distortions.cv2, "resize", resize)
    random = generator(2)
    config = DistortionsConfig(photometric=0.0, noise=0.0)
    rows = [distorted_crop(astronaut.pixels, 8, config, random)[0][0, :, 0].astype(int) for _ in range(2000)]
    rising = [bool((np.diff(row) > 0).all()) for row in rows]
    # five standard deviations
    assert abs(np.mean(rising) - 0.5) < 5 * 0.5 / np.sqrt(2000)
    counts = Counter(used)
    assert len(counts) == len(INTERPOLATIONS) == 4
    assert all(abs(count / 2000 - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000) for count in counts.values())


class Fixed:
    """Gives one order and one factor."""

    def __init__(self, order, factors):
        self.order, self.factors = order, iter(factors)

    def permutation(self, _):
        return self.order

    def uniform(self, *_):
        return next(self.factors)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.5])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_contrast_brightness_and_colour_are_pillows(astronaut, kind, factor):
    """Howard's are those of Pillow's ImageEnhance, up to its rounding of the mean grey."""
    picture = PIL.Image.fromarray(astronaut.pixels[:200, :200])
    name = ("Contrast", "Brightness", "Color")[kind]
    expected = np.asarray(getattr(PIL.ImageEnhance, name)(picture).enhance(factor), np.float32)
    factors = [factor if each == kind else 1.0 for each in (2, 0, 1)]
    found = distort_colors(np.asarray(picture), 0.5, Fixed([2, 0, 1], factors))
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1


def test_factors_and_orders_are_even(astronaut):
    class Spy:
        def __init__(self):
            self.random, self.orders, self.factors = generator(3), [], []

        def permutation(self, count):
            self.orders.append(tuple(self.random.permutation(count)))
            return self.orders[-1]

        def uniform(self, low, high):
            self.factors.append(self.random.uniform(low, high))
            return self.factors[-1]

    spy, pixels = Spy(), astronaut.pixels[:2, :2]
    for _ in range(3000):
        distort_colors(pixels, 0.5, spy)
    assert quantiles_of_uniform(np.array(spy.factors), 0.5, 1.5) < 1.95 / np.sqrt(len(spy.factors))
    counts = Counter(spy.orders)
    assert len(counts) == 6
    assert all(abs(count / 3000 - 1 / 6) < 5 * np.sqrt(5 / 36 / 3000) for count in counts.values())


def test_the_noise_lies_along_the_principal_colours():
    random = generator(4)
    noise = np.array([principal_noise(0.1, random) for _ in range(5000)])
    along = noise @ np.linalg.inv(PRINCIPAL_COLORS).T
    assert np.allclose(along.std(axis=0), 0.1 * PRINCIPAL_AMOUNTS, rtol=0.05)
    assert np.abs(along.mean(axis=0) / PRINCIPAL_AMOUNTS).max() < 5 * 0.1 / np.sqrt(5000)
    assert np.allclose(PRINCIPAL_COLORS.T @ PRINCIPAL_COLORS, np.eye(3), atol=2e-3)
    assert principal_noise(0.0, random).tolist() == [0, 0, 0]


@pytest.mark.slow
def test_the_contact_sheet(chelsea_file, tmp_path):
    arguments = "--rows", 2, "--columns", 3, "--size", 32, "--set", "photometric=0.2"
    result = run_tool("experiments/show_distortions.py", chelsea_file, *arguments, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert PIL.Image.open(tmp_path / "distortions.jpg").size == (96, 64)
    result = run_tool("experiments/show_distortions.py", chelsea_file, "--set", "photometrics=0.2", folder=tmp_path)
    assert result.returncode == 2
    assert "did you mean 'photometric'?" in result.stderr


@pytest.mark.parametrize("values", [{"area": [0, 1]}, {"aspect": [0, 1]}, {"area": [0.5, 0.1]}, {"aspect": [2, 1]}])
def test_impossible_limits_are_refused(values):
    with pytest.raises(ConfigurationError, match=r"area|aspect"):
        make_config(DistortionsConfig, values, "test")
