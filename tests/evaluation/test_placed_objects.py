"""The class of correctly placed boxes."""

import numpy as np
import pytest
from evaluations import evaluate

from incdet.evaluation.placed_objects import placed_objects

HERE, THERE = (0, 0, 99, 99), (200, 200, 299, 299)


def test_an_object_is_named_by_the_best_detection_in_its_place():
    photo = ([(0, HERE, False)], [(0, HERE, 0.4), (1, HERE, 0.6), (0, THERE, 0.9)])
    placed = placed_objects(evaluate([photo], 3))
    assert (placed.num_objects, placed.num_placed, placed.num_top1, placed.num_top5) == (1, 1, 0, 1)
    assert placed.describe().endswith("the best one names 0 % of them right, the five best classes 100 %")
    right = ([(1, HERE, False)], photo[1])
    assert placed_objects(evaluate([right], 3)).top1 == 1


def test_the_sixth_class_is_not_among_the_five_best_and_a_class_counts_once():
    found = [(kind, HERE, 0.9 - 0.1 * kind) for kind in range(6)]
    assert placed_objects(evaluate([([(5, HERE, False)], found)], 6)).top5 == 0
    # four more detections of the best class change nothing
    again = [(0, HERE, 0.95 + 0.01 * number) for number in range(4)]
    assert placed_objects(evaluate([([(4, HERE, False)], again + found)], 6)).top5 == 1


def test_detections_of_other_photos_and_places_do_not_count():
    photos = [([(0, HERE, False)], [(0, THERE, 0.9)]), ([(0, THERE, False)], [(0, HERE, 0.9)]), ([], [(0, HERE, 0.9)])]
    placed = placed_objects(evaluate(photos, 1))
    assert (placed.num_objects, placed.num_placed) == (2, 0)
    assert np.isnan(placed.top1)
    assert placed.to_json() == {"num_placed": 0, "top1": None, "top5": None}
    assert placed.describe() == "0 of 2 objects have a detection of any class in their place"


@pytest.mark.parametrize(("rules", "num_placed"), [("ilsvrc", 1), ("voc", 0)])
def test_small_objects_have_the_threshold_of_the_rules(rules, num_placed):
    # 10 x 10 pixels: ILSVRC asks for an IoU of 0.25
    photo = ([(0, (0, 0, 9, 9), False)], [(0, (0, 0, 9, 3), 0.9)])
    assert placed_objects(evaluate([photo], 1, rules)).num_placed == num_placed


def test_difficult_objects_are_left_out_under_vocs_rules_only():
    photo = ([(0, HERE, True)], [(0, HERE, 0.9)])
    assert placed_objects(evaluate([photo], 1, "voc")).num_objects == 0
    assert placed_objects(evaluate([photo], 1, "ilsvrc")).num_objects == 1
