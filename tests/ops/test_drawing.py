"""Boxes and labels in pixels."""

import numpy as np
from detection_samples import detections, grey

from incdet.ops.drawing import class_color


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


def test_class_colors_differ():
    assert len({class_color(index) for index in range(200)}) == 200
