"""The marks of classes: far apart for everybody, with labels that can be read."""

import numpy as np
import pytest
from color_vision import color_distances, seen_colors, smallest_distance

from incdet.data.voc import VOC_CLASSES
from incdet.ops.class_colors import BLACK, WHITE, class_mark, contrast_ratio, text_color


def colors_of(count):
    return np.array([class_mark(class_id).color for class_id in range(count)])


@pytest.mark.parametrize(
    ("vision", "first_20", "first_60", "first_200"),
    [("usual", 17, 11, 5), ("protanopia", 11, 7, 3.5), ("deuteranopia", 11, 7, 3.5), ("tritanopia", 4, 1.5, 0.2)],
)
def test_colors_are_far_apart_for_everybody_where_lines_are_equal(vision, first_20, first_60, first_200):
    for count, expected in ((20, first_20), (60, first_60), (200, first_200)):
        lines = np.array([class_mark(class_id).line for class_id in range(count)])
        assert smallest_distance(colors_of(count), vision, lines[:, None] == lines) >= expected


def test_the_first_20_classes_have_solid_lines_and_200_have_different_colors():
    assert {class_mark(class_id).line for class_id in range(20)} == {"solid"}
    assert len({class_mark(class_id).color for class_id in range(200)}) == 200
    assert len({class_mark(class_id) for class_id in range(240)}) == 240
    assert class_mark(240) == class_mark(np.int64(0)), "any number of classes has marks"


def test_classes_that_share_photos_are_farther_apart_than_others():
    def distance(one, other, vision):
        ids = VOC_CLASSES.index(one), VOC_CLASSES.index(other)
        return smallest_distance(colors_of(20)[list(ids)], vision)

    pairs = [("person", other) for other in ("bicycle", "motorbike", "horse", "dog", "cat", "car", "chair", "sofa")]
    for one, other in [*pairs, ("dog", "sofa"), ("cat", "chair"), ("diningtable", "chair")]:
        for vision in ("usual", "protanopia", "deuteranopia"):
            assert distance(one, other, vision) >= 20, (one, other, vision)


def test_labels_can_be_read_on_every_color():
    for class_id in range(240):
        color = class_mark(class_id).color
        assert contrast_ratio(color, text_color(color)) >= 4.5
    # the worst grey for both: WCAG's bound is still kept
    assert min(contrast_ratio((grey,) * 3, text_color((grey,) * 3)) for grey in range(256)) >= 4.5
    # WCAG's own examples of grey text on white
    assert contrast_ratio((119, 119, 119), WHITE) == pytest.approx(4.48, abs=0.01)
    assert contrast_ratio((118, 118, 118), WHITE) == pytest.approx(4.54, abs=0.01)
    assert contrast_ratio(BLACK, WHITE) == pytest.approx(21)


def test_simulated_vision_takes_what_the_missing_cones_would_tell():
    red_and_olive = np.array([[200, 0, 0], [92, 84, 0]])
    assert smallest_distance(red_and_olive) > 30
    assert smallest_distance(red_and_olive, "deuteranopia") < 25
    greys = np.array([[0, 0, 0], [128, 128, 128], [255, 255, 255]])
    for vision in ("usual", "protanopia", "deuteranopia", "tritanopia"):
        assert np.abs(seen_colors(greys, vision) - greys).max() < 1.5, "greys look the same to everybody"
    # black and white are 100 apart by definition
    assert color_distances(greys)[0, 2] == pytest.approx(100, abs=0.01)
