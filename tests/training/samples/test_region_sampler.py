"""The regions that a batch is made of, and their targets."""

import numpy as np
import pytest
from random_regions import proposals, truth

from incdet.config.loading import make_config
from incdet.errors import DataError
from incdet.structures import Proposals
from incdet.training.samples.region_pool import build_pool
from incdet.training.samples.region_sampler import RegionSampler
from incdet.training.samples.region_sampling_config import RegionSamplingConfig


@pytest.fixture(scope="module")
def pool():
    truths = [truth([[50, 50, 300, 300], [280, 280, 500, 480]], [0, 2]), truth([[10, 10, 400, 500]], [1])]
    return build_pool(zip(truths, [proposals(400), proposals(400, 1)], strict=True))


def test_a_batch_is_one_quarter_objects_and_mirrored_half(pool):
    sampler = RegionSampler(pool, 3, RegionSamplingConfig(near_share=0.5, near_iou=0.1))
    rows, flipped = zip(*(sampler.draw(step, 64, seed=0) for step in range(50)), strict=True)
    for chosen in rows:
        assert (pool.objects[chosen] >= 0).sum() == 16
        background = pool.overlaps[chosen][pool.objects[chosen] < 0]
        assert (background >= 0.1).sum() >= 24
        assert (background < 0.5).all()
    assert 0.45 < np.concatenate(flipped).mean() < 0.55


def test_balance_evens_out_the_classes():
    boxes = [[0, 0, 100, 100]] * 9 + [[300, 300, 400, 400]]
    pool = build_pool((truth([box], [int(index == 9)]), proposals(50)) for index, box in enumerate(boxes))
    shares = []
    for balance in (1.0, 0.0):
        sampler = RegionSampler(pool, 2, RegionSamplingConfig(class_balance=balance, positive_share=1))
        rows, _ = sampler.draw(0, 2000, seed=0)
        shares.append((pool.object_classes[pool.objects[rows]] == 1).mean())
    assert 0.07 < shares[0] < 0.13
    assert 0.45 < shares[1] < 0.55


def test_draws_depend_on_seed_and_step_alone(pool):
    samplers = [RegionSampler(pool, 3, RegionSamplingConfig()) for _ in range(2)]
    samplers[0].draw(0, 64, 5)
    first, second = (sampler.draw(7, 64, 5) for sampler in samplers)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], samplers[0].draw(8, 64, 5)[0])
    assert not np.array_equal(first[0], samplers[0].draw(7, 64, 6)[0])


def test_soft_targets_pass_from_background_to_the_object():
    truths = [truth([[0, 0, 100, 100]], [1])]
    widths = np.array([20, 40, 50, 75, 90], np.float32)  # of boxes inside the object: their IoU is a hundredth of it
    boxes = np.stack([0 * widths, 0 * widths, widths, 0 * widths + 100], axis=1)
    proposed = Proposals(boxes, np.linspace(1, 0, 5, dtype=np.float32), np.full(5, "inside"))
    soft = RegionSamplingConfig(positive_iou=0.3, full_iou=0.8)
    sampler = RegionSampler(build_pool(zip(truths, [proposed], strict=True), soft), 3, soft)
    shares = [1, 0, 0.2, 0.4, 0.9, 1]  # the first row is the object's own box
    assert np.allclose(sampler.targets(np.arange(6)), [[0, share, 0, 1 - share] for share in shares], atol=1e-6)


@pytest.mark.parametrize("least", [0.3, 0.5])
def test_draw_evenly_over_iou_draws_tight_and_loose_regions_alike(least):
    photos = [(truth([[50, 50, 300, 300]], [0]), proposals(4000))]
    pool = build_pool(photos, RegionSamplingConfig(num_jittered_boxes=200, positive_iou=least))
    means = []
    for even in (False, True):
        config = RegionSamplingConfig(draw_evenly_over_iou=even, positive_share=1, positive_iou=least)
        rows, _ = RegionSampler(pool, 3, config).draw(0, 500, seed=0)
        means.append(pool.overlaps[rows].mean())
    assert means[0] < (least + 1) / 2 - 0.07
    assert means[1] == pytest.approx((least + 1) / 2, abs=0.03)


def test_settings_may_have_their_old_names():
    with pytest.warns(FutureWarning, match="draw_evenly_over_iou"):
        config = make_config(RegionSamplingConfig, {"even_iou": True, "jittered_boxes": 3}, "test")
    assert config == RegionSamplingConfig(draw_evenly_over_iou=True, num_jittered_boxes=3)


def test_a_falling_ramp_is_refused():
    with pytest.raises(ValueError, match=r"full_iou 0\.4 must be at least positive_iou 0\.5"):
        RegionSamplingConfig(positive_iou=0.5, full_iou=0.4)


def test_data_without_objects_is_refused():
    with pytest.raises(DataError, match="0 regions with an object and 30 without"):
        RegionSampler(build_pool([(truth([], []), proposals(30))]), 3, RegionSamplingConfig())
