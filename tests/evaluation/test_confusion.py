"""Detections over a threshold: their number, precision, recall, and the classes that are taken for one another."""

import csv
import io

import numpy as np
import pytest
from evaluations import evaluate_reference_values
from small_photos import FAR, A, evaluation_of
from test_error_analysis import random_case

from incdet.evaluation.confusion import confusion_matrix
from incdet.evaluation.operating_points import operating_point, operating_points
from incdet.evaluation.rules import IGNORED, TRUE

B, C = (300, 0, 399, 99), (0, 300, 99, 399)
CAT, DOG, COW = range(3)
NAMES = ["cat", "dog", "cow"]


def matrix_of(photos, threshold=0.5):
    return confusion_matrix(evaluation_of(photos, NAMES), threshold)


def test_every_cell_has_its_meaning():
    wanted = [(CAT, A, False), (DOG, B, False), (COW, C, False)]
    # the cat is right, the dog is called a cow, the cow is below the threshold, and something lies where nothing is
    found = [(CAT, A, 0.9), (COW, B, 0.8), (COW, C, 0.4), (DOG, FAR, 0.7)]
    assert matrix_of([(wanted, found)]).counts.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]]
    assert matrix_of([(wanted, found)], 0.3).counts[COW].tolist() == [0, 0, 1, 0]
    assert matrix_of([(wanted, found)], 0.95).counts[:, -1].tolist() == [1, 1, 1, 0]


def test_the_best_score_takes_an_object_and_a_right_detection_before_all():
    wanted = [(DOG, A, False)]
    both_wrong = matrix_of([(wanted, [(COW, A, 0.8), (CAT, A, 0.9)])]).counts
    assert both_wrong[DOG].tolist() == [1, 0, 0, 0]
    assert both_wrong[-1].tolist() == [0, 0, 1, 0]
    counts = matrix_of([(wanted, [(CAT, A, 0.9), (DOG, A, 0.6)])]).counts
    assert counts[DOG].tolist() == [0, 1, 0, 0]
    assert counts[-1].tolist() == [1, 0, 0, 0], "the cat finds nothing that is left"
    # below the threshold the right one takes nothing away
    assert matrix_of([(wanted, [(CAT, A, 0.9), (DOG, A, 0.4)])]).counts[DOG].tolist() == [1, 0, 0, 0]


def test_what_counts_neither_way_is_left_out():
    photos = [([(CAT, A, True), (DOG, B, False)], [(CAT, A, 0.9), (DOG, B, 0.8)])]
    assert matrix_of(photos).counts.sum() == 1
    point = operating_point(evaluation_of(photos, NAMES), 0.5)
    assert (point.num_detections, point.num_right, point.num_objects) == (1, 1, 1)


@pytest.mark.parametrize("rules", ["ilsvrc", "voc"])
def test_sums_of_random_cases_are_those_of_the_evaluation(rules):
    generator = np.random.default_rng(0)
    for _ in range(100):
        objects, detections, _ = random_case(generator)
        evaluation = evaluate_reference_values(3, objects, detections, rules)
        for threshold in (0.0, 0.5):
            counts = confusion_matrix(evaluation, threshold).counts
            shown = evaluation.detections.scores >= threshold
            assert counts[:-1].sum(axis=1).tolist() == evaluation.num_objects.tolist()
            counted = shown & (evaluation.verdicts != IGNORED)
            assert (
                counts[:, :-1].sum(axis=0).tolist()
                == np.bincount(evaluation.detections.class_ids[counted], minlength=3).tolist()
            )
            assert np.trace(counts) == (shown & (evaluation.verdicts == TRUE)).sum()
            point = operating_point(evaluation, threshold)
            assert (point.num_detections, point.num_right) == (counted.sum(), np.trace(counts))


def test_precision_and_recall_of_the_detections_from_a_score_on():
    photos = [([(CAT, A, False), (DOG, B, False)], [(CAT, A, 0.9), (COW, FAR, 0.6), (DOG, B, 0.4)])]
    strict, usual, none = operating_points(evaluation_of(photos, NAMES), [0.9, 0.5, 0.95])
    assert (strict.num_detections, strict.precision, strict.recall) == (1, 1, 0.5)
    assert (usual.num_detections, usual.precision, usual.recall) == (2, 0.5, 0.5)
    assert none.to_json()["precision"] is None
    assert none.to_json()["recall"] == 0
    assert usual.describe() == "from a score of 0.5 on: 2 detections, 50 % of them right; 50 % of the objects are found"


def test_confusions_and_csv_name_the_classes():
    photos = [([(DOG, A, False), (DOG, B, False), (CAT, C, False)], [(COW, A, 0.9), (COW, B, 0.9), (DOG, C, 0.8)])]
    matrix = matrix_of(photos)
    assert matrix.confusions() == [("dog", "cow", 2), ("cat", "dog", 1)]
    rows = list(csv.reader(io.StringIO(matrix.to_csv())))
    assert rows[0][1:] == ["cat", "dog", "cow", "background"]
    assert rows[2] == ["dog", "0", "0", "2", "0"]
    assert matrix.num_detections == 3
