"""Boxes and labels in pixels."""

import numpy as np
import pytest
from detection_samples import detections, grey

from incdet.ops.class_colors import class_mark, text_color
from incdet.ops.drawing import class_color, cut_boxes, draw_labelled_boxes


def test_a_drawn_box_lies_on_its_pixels():
    image = grey()
    picture = detections([[20, 40, 60, 70]], [0.5], [1]).draw(image)
    changed = (picture != image.pixels).any(axis=2)
    assert tuple(picture[69, 40]) == class_color(1)
    assert tuple(picture[55, 59]) == class_color(1)
    assert not changed[70:].any()
    assert not changed[:, 60:].any() or not changed[45:, 60:].any()
    assert not changed[50:60, 30:50].any()


def test_drawing_changes_neither_image_nor_size_and_survives_edges():
    for width, height in ((1, 1), (3, 50), (200, 2)):
        image = grey(width, height)
        box = [[0, 0, width, height]]
        assert detections(box, [1], [0], size=(width, height)).draw(image).shape == (height, width, 3)
        assert (image.pixels == 90).all()
    assert np.array_equal(detections([], [], []).draw(grey()), grey().pixels)


@pytest.mark.parametrize("class_id", [0, 1])
def test_the_text_of_a_label_is_black_or_white_on_the_color_of_its_class(class_id):
    mark = class_mark(class_id)
    picture = detections([[20, 100, 900, 750]], [0.5], [class_id], size=(1000, 800)).draw(grey(1000, 800))
    label = picture[75:95, 25:100].reshape(-1, 3)
    is_text = (label == text_color(mark.color)).all(axis=1)
    assert 0.02 < is_text.mean() < 0.6
    assert (label == mark.color).all(axis=1).mean() > 0.3


def test_boxes_of_further_classes_are_dashed_and_dotted_on_any_ground():
    box = np.array([[10, 40, 190, 140]], np.float32)
    shares = []
    for class_id in (3, 23, 43):
        mark = class_mark(class_id)
        picture = draw_labelled_boxes(np.full((160, 200, 3), mark.color, np.uint8), box, [mark], [""])
        top, left = picture[40, 10:190], picture[60:140, 10]
        assert tuple(picture[139, 189]) == mark.color, "a dash lies in every corner"
        assert tuple(picture[140, 100]) == tuple(picture[100, 190]) == mark.color, "nothing lies outside"
        shares.append([float((line == mark.color).all(axis=1).mean()) for line in (top, left)])
        assert {tuple(pixel) for pixel in (*top, *left)} <= {mark.color, text_color(mark.color)}
    assert shares[0] == [1, 1]
    assert all(0.5 < share < 0.75 for share in shares[1])
    assert all(0.4 < share < 0.65 for share in shares[2])


def test_boxes_are_cut_out_where_they_lie():
    pixels = np.arange(60 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)
    boxes = np.array([[10.4, 5.6, 30.5, 20], [-5, -5, 70, 50], [59.8, 39.9, 60, 40], [7, 7, 7, 7]], np.float32)
    cut = cut_boxes(pixels, boxes)
    assert np.array_equal(cut[0], pixels[6:20, 10:30])
    assert np.array_equal(cut[1], pixels)
    assert [part.shape for part in cut[2:]] == [(1, 1, 3), (1, 1, 3)]
    cut[1][:] = 0
    assert pixels.any(), "crops are copies"
