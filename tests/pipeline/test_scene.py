"""The photo as a whole: the regions that show it, and what its classes do to those of other regions."""

import numpy as np
import pytest

from incdet.config.sections import ScoresConfig
from incdet.pipeline.scene import MIN_SCENE_PROBABILITY, scene_factors, scene_views
from incdet.structures import Image


def test_the_views_lie_in_the_photo_and_cover_it():
    image = Image(np.zeros((60, 90, 3), np.uint8), "grey")
    views = scene_views(image)
    assert views.dtype == np.float32
    assert views[0].tolist() == [0, 0, 90, 60]
    assert (views >= 0).all()
    assert (views <= [90, 60, 90, 60]).all()
    # every pixel is in the whole photo and in one of the smaller views at least
    seen = np.zeros((60, 90), int)
    for left, top, right, bottom in views.astype(int):
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 2


def test_the_best_class_keeps_its_probability_and_the_others_lose_by_their_ratio():
    views = np.array([[0.9, 0.03, 0.0], [0.7, 0.05, 0.0]], np.float32)
    for exponent in (0.1, 0.5, 1.0):
        factors = scene_factors(views, exponent)
        assert factors.dtype == np.float32
        expected = np.array([1, 0.04 / 0.8, MIN_SCENE_PROBABILITY / 0.8]) ** exponent
        assert factors == pytest.approx(expected, rel=1e-5)


def test_no_class_loses_more_than_half_by_default():
    factors = scene_factors(np.array([[1.0, 0.0]], np.float32), ScoresConfig().scene_exponent)
    assert 0.5 <= factors[1] < 0.51


def test_without_weight_or_without_anything_to_see_no_class_loses():
    assert scene_factors(np.array([[0.9, 0.01]], np.float32), 0.0).tolist() == [1, 1]
    # all background
    assert scene_factors(np.full((6, 2), 1e-5, np.float32), 0.1).tolist() == [1, 1]
