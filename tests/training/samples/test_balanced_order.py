"""The order of photos whose classes are balanced."""

import numpy as np
from random_regions import truth

from incdet.training.samples.balanced_order import balanced_order, photo_weights

BOX = [0, 0, 10, 10]


def test_a_photo_weighs_what_its_objects_weigh_in_the_mean():
    truths = [truth([BOX, BOX], [0, 1]), truth([], []), truth([BOX, BOX], [1, 0], ignored=[False, True])]
    assert photo_weights(truths, np.array([1.0, 3.0])).tolist() == [2.0, 2.5, 3.0]


def test_photos_without_any_object_weigh_alike():
    assert photo_weights([truth([], []), truth([], [])], np.array([1.0])).tolist() == [1.0, 1.0]


def test_every_photo_comes_as_often_as_its_weight_asks():
    weights = np.array([1.0, 1.0, 2.0, 0.0, 4.0, 0.5, 1.5, 6.0])
    wanted = weights / weights.mean()
    for seed in range(20):
        order = balanced_order(weights, np.random.default_rng(seed))
        counts = np.bincount(order, minlength=8)
        assert counts.sum() == 8
        assert (np.abs(counts - wanted) < 1).all()
        assert counts[3] == 0


def test_equal_weights_take_every_photo_once_in_another_order_each_time():
    orders = [balanced_order(np.ones(50), np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
