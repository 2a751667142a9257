"""The paired bootstrap against the product's comparison and against data sets in which photos really are repeated."""

import numpy as np
import pytest
from paired_bootstrap import compared_numbers, paired_difference, resample

from incdet.evaluation.average_precision import evaluate_columns
from incdet.evaluation.columns import DetectionColumns, ObjectColumns
from incdet.evaluation.comparison import compare_evaluations
from incdet.evaluation.stored_evaluation import FILE_NAME, load_evaluation, save_evaluation

CLASSES = ("cat", "dog", "absent")
NUM_IMAGES = 9


def objects_of():
    generator = np.random.default_rng(0)
    corners = generator.integers(0, 200, (24, 2))
    boxes = np.concatenate([corners, corners + generator.integers(20, 60, (24, 2))], axis=1).astype(np.float64)
    return ObjectColumns(np.sort(generator.integers(0, NUM_IMAGES, 24)), np.arange(24) % 2, boxes, np.arange(24) == 5)


def evaluated(seed, noise):
    """Every object is detected three times, more or less well."""
    objects, generator = objects_of(), np.random.default_rng(seed)
    rows = np.repeat(np.arange(24), 3)
    boxes = objects.boxes_inclusive[rows] + generator.normal(0, noise, (72, 4))
    detections = DetectionColumns(objects.images[rows], objects.class_ids[rows], generator.random(72), boxes)
    return evaluate_columns(CLASSES, NUM_IMAGES, objects, detections)


def test_photos_as_they_are_have_the_numbers_of_the_evaluation():
    evaluation = evaluated(1, 6)
    # one set of photos that holds every photo once
    once = np.ones((1, NUM_IMAGES), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda _: type("Once", (), {"multinomial": lambda *_: once})())
        resampled = resample(evaluation, 1)
    assert 0.1 < evaluation.pooled_average_precision < 0.95
    assert resampled.resampled_means.tolist() == pytest.approx([evaluation.mean_average_precision])
    assert resampled.resampled_pooled.tolist() == pytest.approx([evaluation.pooled_average_precision])


def test_the_sets_are_those_of_the_comparison(tmp_path):
    pair = [evaluated(1, 4), evaluated(2, 9)]
    stored = []
    for number, evaluation in enumerate(pair):
        save_evaluation(tmp_path / str(number) / FILE_NAME, evaluation, "made up", list("abcdefghi"))
        stored.append(load_evaluation(tmp_path / str(number)))
    expected = compare_evaluations(*stored, num_samples=300)
    first, second = (resample(evaluation, 300).resampled_means for evaluation in pair)
    assert np.percentile(second - first, [2.5, 97.5]) == pytest.approx(expected.interval)
    difference = paired_difference(*expected.mean_average_precision[::-1], second, first)
    assert difference.value == pytest.approx(expected.mean_average_precision[1] - expected.mean_average_precision[0])
    assert difference.standard_error == pytest.approx((second - first).std(ddof=1))
    assert difference.standard_error > 0.01


def test_identical_results_differ_by_exactly_nothing():
    judged = [resample(evaluated(1, 6), 150) for _ in range(2)]
    _, difference, error, _, pooled_difference, pooled_error = compared_numbers(*judged)
    assert (difference, error, pooled_difference, pooled_error) == (0, 0, 0, 0)
    other = resample(evaluated(2, 9), 150)
    assert all(number != 0 for number in compared_numbers(other, judged[0]))


def test_a_pair_is_surer_than_two_samples_of_photos():
    first, second = (resample(evaluated(1, noise), 300).resampled_means for noise in (6, 6.5))
    paired = paired_difference(0, 0, second, first).standard_error
    unpaired = np.hypot(first.std(ddof=1), second.std(ddof=1))
    assert paired < 0.7 * unpaired
