"""Which regions a batch is made of."""

import numpy as np
import pytest
import torch

from incdet.errors import DataError
from incdet.networks.weights import Preprocessing
from incdet.ops.boxes import box_iou
from incdet.structures import GroundTruth, Proposals
from incdet.training.samples.region_samples import RegionSampler, SamplingConfig, build_pool, jittered_boxes


def truth(boxes, class_ids, ignored=None, size=(512, 512)):
    ids = np.array(class_ids, np.int64)
    flags = np.zeros(len(ids), bool) if ignored is None else np.array(ignored)
    return GroundTruth("a", *size, np.array(boxes, np.float32).reshape(-1, 4), ids, flags)


def proposals(count, seed=0):
    corners = np.sort(np.random.default_rng(seed).uniform(0, 512, (count, 2, 2)), axis=1).reshape(-1, 4)
    scores = np.linspace(1, 0, count, dtype=np.float32)
    return Proposals(corners.astype(np.float32), scores, np.full(count, "random"))


@pytest.fixture(scope="module")
def pool():
    truths = [truth([[50, 50, 300, 300], [280, 280, 500, 480]], [0, 2]), truth([[10, 10, 400, 500]], [1])]
    return build_pool(zip(truths, [proposals(400), proposals(400, 1)], strict=True))


def test_regions_belong_to_the_object_they_overlap_most(pool):
    objects = np.array([[50, 50, 300, 300], [280, 280, 500, 480]])
    first = pool.images == 0
    iou = box_iou(pool.boxes[first], objects)
    covered = iou.max(axis=1) >= 0.5
    assert 3 < covered.sum() < 200
    assert np.array_equal(pool.objects[first] >= 0, covered)
    assert np.array_equal(pool.objects[first][covered], iou.argmax(axis=1)[covered])
    assert (pool.objects[pool.images == 1].max(), pool.object_classes.tolist()) == (2, [0, 2, 1])


def test_regions_on_ignored_objects_are_neither_object_nor_background():
    box = [100, 100, 300, 300]
    pool = build_pool([(truth([box], [0], [True]), proposals(500))])
    assert box_iou(pool.boxes, np.array([box])).max() < 0.5
    assert (pool.objects == -1).all()


def test_what_lies_in_a_crowd_is_no_background_but_an_object_there_is_one():
    """COCO marks crowds as one ignored object; nothing is known about what is inside."""
    photo = truth([[100, 100, 400, 400], [150, 150, 250, 300]], [0, 1], [True, False])
    boxes = [[300, 110, 380, 200], [380, 110, 420, 200], [379, 110, 420, 200], [0, 0, 90, 90], [150, 150, 250, 290]]
    few = Proposals(np.array(boxes, np.float32), np.linspace(1, 0, 5, dtype=np.float32), np.full(5, "random"))
    pool = build_pool([(photo, few)])
    assert pool.boxes.tolist() == [photo.boxes[1].tolist(), *(few.boxes[row].tolist() for row in (3, 4))]
    assert pool.objects.tolist() == [1, -1, 1]
    outside = Proposals(few.boxes + np.array([2, 0, 2, 0], np.float32), few.scores, few.sources)
    assert [382, 110, 422, 200] in build_pool([(photo, outside)]).boxes.tolist()


def test_objects_keep_their_class_after_photos_with_ignored_objects():
    first = truth([[10, 10, 100, 100], [200, 200, 400, 400]], [2, 0], [True, False])
    second = truth([[50, 50, 300, 300]], [1])
    pool = build_pool([(first, proposals(300)), (second, proposals(300, 1))])
    for image, class_id in ((0, 0), (1, 1)):
        objects = pool.objects[(pool.images == image) & (pool.objects >= 0)]
        assert len(objects) > 1
        assert (pool.object_classes[objects] == class_id).all()


def test_photos_with_objects_left_unannotated_lend_no_background():
    truths = [truth([[50, 50, 300, 300]], [0]), truth([[50, 50, 300, 300]], [1])]
    every, first = (
        build_pool(zip(truths, [proposals(300), proposals(300, 1)], strict=True), exhaustive=count)
        for count in (None, 1)
    )
    assert (every.objects[every.images == 1] == -1).any()
    assert (first.objects[first.images == 0] == -1).any()
    assert (first.objects[first.images == 1] == 1).all()
    assert (first.objects == 1).sum() == (every.objects == 1).sum() > 1


def test_photos_without_objects_give_background_only():
    pool = build_pool([(truth([], []), proposals(30)), (truth([[0, 0, 200, 200]], [0]), proposals(30))])
    assert (pool.objects[pool.images == 0] == -1).all()
    assert (pool.images == 0).sum() == 30


def test_a_batch_is_one_quarter_objects_and_mirrored_half(pool):
    sampler = RegionSampler(pool, 3, SamplingConfig(near_share=0.5, near_iou=0.1))
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
        sampler = RegionSampler(pool, 2, SamplingConfig(class_balance=balance, positive_share=1))
        rows, _ = sampler.draw(0, 2000, seed=0)
        shares.append((pool.object_classes[pool.objects[rows]] == 1).mean())
    assert 0.07 < shares[0] < 0.13
    assert 0.45 < shares[1] < 0.55


def test_draws_depend_on_seed_and_step_alone(pool):
    samplers = [RegionSampler(pool, 3, SamplingConfig()) for _ in range(2)]
    samplers[0].draw(0, 64, 5)
    first, second = (sampler.draw(7, 64, 5) for sampler in samplers)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], samplers[0].draw(8, 64, 5)[0])
    assert not np.array_equal(first[0], samplers[0].draw(7, 64, 6)[0])


def test_a_batch_holds_the_drawn_regions_and_their_classes(pool, astronaut):
    sampler = RegionSampler(pool, 3, SamplingConfig())
    rows, flipped = sampler.draw(0, 12, 0)
    batch = sampler.batch(rows, flipped, lambda _: astronaut, Preprocessing(), torch.device("cpu"))
    assert batch.crops.shape == (12, 3, 224, 224)
    expected = [pool.object_classes[index] if index >= 0 else 3 for index in pool.objects[rows]]
    assert batch.targets.numpy().tolist() == np.eye(4)[expected].tolist()
    one = sampler.batch(rows[4:5], flipped[4:5], lambda _: astronaut, Preprocessing(), torch.device("cpu"))
    assert torch.allclose(one.crops[0], batch.crops[4], atol=1e-3)


def test_soft_targets_pass_from_background_to_the_object():
    truths = [truth([[0, 0, 100, 100]], [1])]
    widths = np.array([20, 40, 50, 75, 90], np.float32)  # of boxes inside the object: their IoU is a hundredth of it
    boxes = np.stack([0 * widths, 0 * widths, widths, 0 * widths + 100], axis=1)
    proposed = Proposals(boxes, np.linspace(1, 0, 5, dtype=np.float32), np.full(5, "inside"))
    soft = SamplingConfig(positive_iou=0.3, full_iou=0.8)
    sampler = RegionSampler(build_pool(zip(truths, [proposed], strict=True), soft), 3, soft)
    shares = [1, 0, 0.2, 0.4, 0.9, 1]  # the first row is the object's own box
    assert np.allclose(sampler.targets(np.arange(6)), [[0, share, 0, 1 - share] for share in shares], atol=1e-6)


@pytest.mark.parametrize("least", [0.3, 0.5])
def test_even_iou_draws_tight_and_loose_regions_alike(least):
    photos = [(truth([[50, 50, 300, 300]], [0]), proposals(4000))]
    pool = build_pool(photos, SamplingConfig(jittered_boxes=200, positive_iou=least))
    means = []
    for even in (False, True):
        config = SamplingConfig(even_iou=even, positive_share=1, positive_iou=least)
        rows, _ = RegionSampler(pool, 3, config).draw(0, 500, seed=0)
        means.append(pool.overlaps[rows].mean())
    assert means[0] < (least + 1) / 2 - 0.07
    assert means[1] == pytest.approx((least + 1) / 2, abs=0.03)


def test_jittered_boxes_fill_the_gap_between_an_object_and_its_proposals():
    photo = truth([[100, 100, 300, 200], [580, 0, 640, 400]], [0, 1], size=(640, 400))
    copies = jittered_boxes(photo.boxes, 500, photo, seed=4)
    assert np.array_equal(copies, jittered_boxes(photo.boxes, 500, photo, seed=4))
    assert not np.array_equal(copies, jittered_boxes(photo.boxes, 500, photo, seed=5))
    assert copies.dtype == np.float32
    assert copies.min() == 0
    assert copies.max(axis=0)[2:].tolist() == [640, 400]
    overlaps = box_iou(copies, photo.boxes)
    assert (overlaps[:500].argmax(axis=1) == 0).all()
    shares = np.histogram(overlaps[:500, 0], bins=[0, 0.4, 0.6, 0.8, 1])[0] / 500
    assert shares.min() > 0.02
    pool = build_pool([(photo, proposals(20))], SamplingConfig(jittered_boxes=30))
    assert len(pool.boxes) == 2 + 60 + 20


def test_a_falling_ramp_is_refused():
    with pytest.raises(ValueError, match=r"full_iou 0\.4 must be at least positive_iou 0\.5"):
        SamplingConfig(positive_iou=0.5, full_iou=0.4)


def test_data_without_objects_is_refused():
    with pytest.raises(DataError, match="0 regions with an object and 30 without"):
        RegionSampler(build_pool([(truth([], []), proposals(30))]), 3, SamplingConfig())
