"""Suggestions for unknown names: few typing errors, or another word for the same thing; nothing else."""

import pytest

from incdet.config.class_choice import SYNONYMS, find_classes
from incdet.config.near_names import edit_distance, nearest_names
from incdet.data.voc import VOC_CLASSES
from incdet.errors import ConfigurationError


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("", "", 0), ("", "ab", 2), ("cat", "cat", 0), ("cat", "act", 1), ("ca", "abc", 3), ("sofa", "soda", 1)],
)
def test_typing_errors_are_counted(first, second, distance):
    assert edit_distance(first, second) == edit_distance(second, first) == distance


def test_near_names_come_first_and_far_ones_not_at_all():
    assert nearest_names("trian", ["plane", "train"], 3) == ["train"]
    assert nearest_names("x", ["k", "y"]) == []
    assert nearest_names("Catt", ["dog", "cat"]) == ["cat"]
    assert nearest_names("multi", ["multibox_voc", "multiple"], 3) == ["multiple", "multibox_voc"]


@pytest.mark.parametrize(
    ("asked", "suggested"),
    [
        ("kitten", "cat"),
        ("Kitten", "cat"),
        ("cta", "cat"),
        ("cats", "cat"),
        ("CAT", "cat"),
        ("airplane", "aeroplane"),
        ("bike", "bicycle"),
        ("motorcycle", "motorbike"),
        ("people", "person"),
        ("tv", "tvmonitor"),
        ("potted plant", "pottedplant"),
        ("moterbike", "motorbike"),
    ],
)
def test_the_class_that_was_meant_is_suggested(asked, suggested):
    with pytest.raises(ConfigurationError, match=f"no class '{asked}'; did you mean '{suggested}'"):
        find_classes([asked], VOC_CLASSES, "the detector")


@pytest.mark.parametrize("asked", ["spoon", "giraffe", "x", "", "bottleneck of a guitar"])
def test_nothing_is_suggested_where_nothing_is_near(asked):
    with pytest.raises(ConfigurationError, match="known classes: aeroplane, bicycle, "):
        find_classes([asked], VOC_CLASSES, "the detector")


def test_a_word_has_one_meaning():
    words = [word for group in SYNONYMS for word in group]
    assert len(words) == len(set(words))
