"""Functions on boxes against counts of pixels."""

import numpy as np
import pytest
from random_boxes import random_pixel_boxes

from incdet.ops.boxes import (
    MAX_BOX_DELTA,
    apply_box_deltas,
    box_areas,
    box_iou,
    boxes_from_xywh,
    boxes_to_xywh,
    clip_boxes,
    compute_box_deltas,
    flip_boxes,
)


def random_boxes(count: int, seed: int) -> np.ndarray:
    """[N, 4] float32 with whole corners in a 12 x 12 frame, some of them empty."""
    corners = np.random.default_rng(seed).integers(0, 13, (count, 2, 2))
    return np.sort(corners, axis=1).reshape(count, 4).astype(np.float32)


def covered_pixels(box: np.ndarray) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (int(value) for value in box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


@pytest.mark.parametrize("seed", range(3))
def test_areas_and_iou_are_counts_of_pixels(seed):
    boxes, others = random_boxes(15, seed), random_boxes(20, seed + 100)
    assert box_areas(boxes).tolist() == [len(covered_pixels(box)) for box in boxes]
    expected = np.zeros((15, 20))
    for row, box in enumerate(boxes):
        for column, other in enumerate(others):
            common, union = covered_pixels(box) & covered_pixels(other), covered_pixels(box) | covered_pixels(other)
            expected[row, column] = len(common) / len(union) if union else 0
    assert (expected > 0).any()
    np.testing.assert_array_equal(box_iou(boxes, others), expected)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0), (0, 0)])
def test_iou_of_no_boxes(rows, columns):
    assert box_iou(random_boxes(rows, 0), random_boxes(columns, 1)).shape == (rows, columns)


def test_iou_of_exactly_one_half_is_not_rounded_below_it():
    width = 10_007
    boxes, others = np.array([[3, 3, 3 + width, 7]], np.float32), np.array([[3, 3, 3 + 2 * width, 7]], np.float32)
    assert box_iou(boxes, others)[0, 0] == 0.5


def test_iou_does_not_depend_on_order_or_place():
    boxes, others = random_boxes(10, 4), random_boxes(10, 5)
    np.testing.assert_array_equal(box_iou(boxes, others), box_iou(others, boxes).T)
    np.testing.assert_array_equal(box_iou(boxes, others), box_iou(boxes + 100, others + 100))


def test_clipped_boxes_lie_inside_and_keep_their_dtype():
    boxes = np.array([[-3, -1, 5, 6], [2, 3, 20, 30], [1, 2, 3, 4], [-5, -5, -1, -1]], np.float32)
    clipped = clip_boxes(boxes, 10, 8)
    assert clipped.tolist() == [[0, 0, 5, 6], [2, 3, 10, 8], [1, 2, 3, 4], [0, 0, 0, 0]]
    assert clipped.dtype == np.float32


def test_flipped_boxes_cover_the_same_pixels_of_the_mirrored_image():
    for box in random_boxes(20, 6):
        image = np.zeros((12, 12), bool)
        for x, y in covered_pixels(box):
            image[y, x] = True
        x1, y1, x2, y2 = flip_boxes(box[None], 12)[0].astype(int)
        assert image[:, ::-1][y1:y2, x1:x2].all()
        assert (x2 - x1) * (y2 - y1) == image.sum()


def test_xywh():
    boxes = np.array([[1, 2, 4, 8]], np.float32)
    assert boxes_to_xywh(boxes).tolist() == [[1, 2, 3, 6]]
    assert boxes_from_xywh(boxes).tolist() == [[1, 2, 5, 10]]


@pytest.mark.parametrize("count", [0, 20])
def test_xywh_there_and_back(count):
    boxes = random_boxes(count, 7)
    np.testing.assert_array_equal(boxes_from_xywh(boxes_to_xywh(boxes)), boxes)


def test_boxes_of_several_images_are_clipped_at_the_borders_of_their_own():
    boxes = np.tile(np.array([[-5, -5, 50, 50]], np.float32), (3, 1))
    widths, heights = np.array([40, 10, 60]), np.array([20, 30, 45])
    expected = [[0, 0, 40, 20], [0, 0, 10, 30], [0, 0, 50, 45]]
    assert clip_boxes(boxes, widths, heights).tolist() == expected
    # a stretch by e on both sides reaches beyond every border
    stretch = np.tile(np.array([[0, 0, 1, 1]], np.float32), (3, 1))
    expected[2] = [0, 0, 60, 45]
    assert apply_box_deltas(boxes, stretch, widths, heights).tolist() == expected


def test_box_deltas_are_those_of_rcnn():
    box, wanted = np.array([[10, 20, 30, 60]], np.float32), np.array([[15, 10, 55, 50]], np.float32)
    # its centre (20, 40) must move by 15 of 20 and -10 of 40; 20 becomes 40 wide, 40 stays 40 high
    assert compute_box_deltas(box, wanted)[0] == pytest.approx([15 / 20, -10 / 40, np.log(2), 0])
    assert apply_box_deltas(box, compute_box_deltas(box, wanted), 100, 100)[0] == pytest.approx(wanted[0])


def test_box_deltas_lead_from_any_box_to_any_near_one():
    generator = np.random.default_rng(0)
    boxes = random_pixel_boxes(generator, 100, 20.0)
    wanted = (boxes + generator.uniform(-5, 5, boxes.shape)).astype(np.float32).clip(0)
    assert apply_box_deltas(boxes, compute_box_deltas(boxes, wanted), 200, 200) == pytest.approx(wanted, abs=1e-3)


def test_moved_boxes_stay_in_the_image_and_near_the_region():
    box = np.array([[10, 10, 30, 50]], np.float32)
    far = apply_box_deltas(box, np.array([[9, -9, 50, 50]], np.float32), 1000, 1000)
    assert far == pytest.approx(apply_box_deltas(box, np.full((1, 4), MAX_BOX_DELTA) * [1, -1, 1, 1], 1000, 1000))
    assert apply_box_deltas(box, np.array([[0, 0, 1, 1]], np.float32), 40, 45)[0] == pytest.approx([0, 0, 40, 45])
    # nothing of it would be left
    at_the_border, away = np.array([[2, 10, 22, 50]], np.float32), np.array([[-1, 0, -0.5, 0]], np.float32)
    assert apply_box_deltas(at_the_border, away, 40, 60).tolist() == at_the_border.tolist()
    assert apply_box_deltas(box[:, [0, 1, 0, 3]], np.ones((1, 4), np.float32), 40, 60).tolist() == [[10, 10, 10, 50]]
