"""The regions that can be drawn, and their objects."""

import numpy as np
import pytest
from random_regions import proposals, truth

from incdet.ops.boxes import box_iou
from incdet.structures import Proposals
from incdet.training.samples.region_pool import build_pool, jittered_boxes
from incdet.training.samples.region_sampling_config import RegionSamplingConfig


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
        build_pool(zip(truths, [proposals(300), proposals(300, 1)], strict=True), num_exhaustive=count)
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


def test_jittered_boxes_fill_the_gap_between_an_object_and_its_proposals():
    photo = truth([[100, 100, 300, 200], [580, 0, 640, 400]], [0, 1], size=(640, 400))
    copies, again, other = (jittered_boxes(photo, 500, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(copies, again)
    assert not np.array_equal(copies, other)
    assert copies.dtype == np.float32
    assert copies.min() == 0
    assert copies.max(axis=0)[2:].tolist() == [640, 400]
    overlaps = box_iou(copies, photo.boxes)
    assert (overlaps[:500].argmax(axis=1) == 0).all()
    shares = np.histogram(overlaps[:500, 0], bins=[0, 0.4, 0.6, 0.8, 1])[0] / 500
    assert shares.min() > 0.02
    pool = build_pool([(photo, proposals(20))], RegionSamplingConfig(num_jittered_boxes=30))
    assert len(pool.boxes) == 2 + 60 + 20
