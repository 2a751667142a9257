"""The paired bootstrap against evaluations of data sets in which images really are repeated."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from running_tools import run_tool

from incdet.errors import DataError
from incdet.evaluation import comparison
from incdet.evaluation.average_precision import evaluate_columns
from incdet.evaluation.columns import DetectionColumns, ObjectColumns
from incdet.evaluation.comparison import bootstrap_interval, compare_evaluations, weighted_average_precision
from incdet.evaluation.stored_evaluation import FILE_NAME, load_evaluation, save_evaluation

RULES = ("ilsvrc", "voc", "voc07")
NUM_IMAGES, CLASSES = 12, ("rare", "usual", "common", "absent")
BANNED = {(0, 2), (5, 1), (7, 2)}


def objects_of(seed=0):
    """Difficult ones among them; the first class has two objects only, on two images, and the last class none."""
    generator = np.random.default_rng(seed)
    images = np.sort(generator.integers(0, NUM_IMAGES, 40))
    class_ids = generator.integers(1, 3, 40)
    class_ids[[3, 30]] = 0
    corners = generator.integers(0, 300, (40, 2))
    boxes = np.concatenate([corners, corners + generator.integers(5, 80, (40, 2))], axis=1).astype(np.float64)
    ignored = (generator.random(40) < 0.15) & (class_ids > 0)
    return ObjectColumns(images, class_ids, boxes, ignored)


def detections_of(objects, seed):
    """Of random quality, in random order; no score occurs twice."""
    generator = np.random.default_rng(seed)
    rows = np.tile(np.arange(len(objects)), 3)
    boxes = objects.boxes_inclusive[rows]
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + generator.normal(0, 0.12, boxes.shape) * sides
    wrong = generator.random(len(rows)) < 0.2
    class_ids = np.where(wrong, generator.integers(0, 4, len(rows)), objects.class_ids[rows])
    scores = generator.permutation(len(rows)) / 7.0
    columns = DetectionColumns(
        objects.images[rows], class_ids, scores, np.sort(moved.reshape(-1, 2, 2), 1).reshape(-1, 4)
    )
    return columns[generator.permutation(len(rows))]


def judged(seed, rules="voc", objects=None):
    objects = objects_of() if objects is None else objects
    banned = BANNED if rules == "ilsvrc" else ()
    return evaluate_columns(CLASSES, NUM_IMAGES, objects, detections_of(objects, seed), rules, banned)


def repeated(seed, rules, weights):
    """AP [C] on a data set that holds image i weights[i] times."""
    objects, detections = objects_of(), detections_of(objects_of(), seed)
    copies = np.repeat(np.arange(NUM_IMAGES), weights)
    own, found = ([np.flatnonzero(columns.images == image) for image in copies] for columns in (objects, detections))
    numbers = np.arange(len(copies))
    objects = replace(objects[np.concatenate(own)], images=np.repeat(numbers, [len(rows) for rows in own]))
    detections = replace(detections[np.concatenate(found)], images=np.repeat(numbers, [len(rows) for rows in found]))
    banned = {(number, kind) for number, image in enumerate(copies) for banned, kind in BANNED if banned == image}
    banned = banned if rules == "ilsvrc" else ()
    return evaluate_columns(CLASSES, len(copies), objects, detections, rules, banned).average_precision


@pytest.fixture
def stored(tmp_path):
    """Takes an evaluation through the file to a judgement."""

    def store(evaluation, name="run", dataset="pets val", image_names=tuple(map(str, range(NUM_IMAGES)))):
        save_evaluation(tmp_path / name / FILE_NAME, evaluation, dataset, image_names)
        return load_evaluation(tmp_path / name)

    return store


@pytest.mark.parametrize("rules", RULES)
def test_weights_of_one_give_the_average_precision(stored, rules):
    evaluation = judged(1, rules)
    judgement = stored(evaluation)
    ones = np.ones((1, NUM_IMAGES), np.int64)
    weighted = [weighted_average_precision(entry, ones, rules)[0] for entry in judgement.classes]
    assert weighted == pytest.approx(evaluation.average_precision, rel=0, abs=1e-12, nan_ok=True)
    assert judgement.average_precision.tolist()[:3] == evaluation.average_precision.tolist()[:3]
    assert np.isnan(weighted[3])
    assert 0.1 < np.nanmean(weighted) < 0.9


@pytest.mark.parametrize("rules", RULES)
def test_integer_weights_count_images_that_often(stored, rules):
    judgement = stored(judged(2, rules))
    weights = np.random.default_rng(0).multinomial(NUM_IMAGES, np.full(NUM_IMAGES, 1 / NUM_IMAGES), 30)
    columns = [weighted_average_precision(entry, weights, rules) for entry in judgement.classes]
    weighted = np.stack(columns, axis=1)
    for row, counts in zip(weighted, weights, strict=True):
        assert row == pytest.approx(repeated(2, rules, counts), rel=0, abs=1e-12, nan_ok=True)
    assert np.isnan(weighted[:, 0]).any(), "no sample leaves a class without objects"
    assert not np.isnan(weighted[:, 0]).all()


@pytest.mark.parametrize("rules", RULES)
def test_interval_is_that_of_evaluating_resampled_data_sets(stored, rules):
    result = compare_evaluations(stored(judged(1, rules)), stored(judged(2, rules)), 40, 5)
    sets = np.random.default_rng(5).multinomial(NUM_IMAGES, np.full(NUM_IMAGES, 1 / NUM_IMAGES), 40)
    means = [[np.nanmean(repeated(seed, rules, counts)) for counts in sets] for seed in (1, 2)]
    differences = np.subtract(means[1], means[0])
    assert result.interval == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=1e-12)
    assert result.share_better == np.mean(differences > 0)
    whole = [judged(seed, rules).mean_average_precision for seed in (1, 2)]
    assert result.mean_average_precision == pytest.approx(whole, abs=1e-12)
    assert result.to_json()["difference"] == pytest.approx(whole[1] - whole[0], abs=1e-12)
    assert (result.num_samples, result.seed) == (40, 5)


@pytest.mark.parametrize("rules", RULES)
def test_the_interval_of_one_run_is_that_of_evaluating_resampled_data_sets(stored, rules):
    sets = np.random.default_rng(5).multinomial(NUM_IMAGES, np.full(NUM_IMAGES, 1 / NUM_IMAGES), 40)
    means = [np.nanmean(repeated(1, rules, counts)) for counts in sets]
    expected = np.percentile(means, [2.5, 97.5])
    assert bootstrap_interval(stored(judged(1, rules)), 40, 5) == pytest.approx(tuple(expected), abs=1e-12)


def test_equal_seeds_give_equal_numbers_and_other_seeds_others(stored):
    runs = stored(judged(1)), stored(judged(2))
    first, again, other = (compare_evaluations(*runs, 200, seed) for seed in (3, 3, 4))
    assert first.to_json() == again.to_json()
    assert first.interval != other.interval
    low, high = first.interval
    assert low < first.to_json()["difference"] < high


@pytest.mark.parametrize("rules", RULES)
def test_a_run_does_not_differ_from_itself(stored, rules):
    result = compare_evaluations(stored(judged(1, rules)), stored(judged(1, rules)), 100)
    assert (result.to_json()["difference"], result.interval) == (0, (0, 0))
    assert (result.wins, result.share_better) == ((0, 0), 0)


def test_exchanged_runs_give_mirrored_numbers(stored):
    one, other = stored(judged(1)), stored(judged(2))
    there, back = compare_evaluations(one, other, 201), compare_evaluations(other, one, 201)
    assert back.interval == pytest.approx([-there.interval[1], -there.interval[0]], abs=1e-15)
    assert back.mean_average_precision == there.mean_average_precision[::-1]
    assert back.average_precision[0].tolist()[:3] == there.average_precision[1].tolist()[:3]
    assert back.wins == there.wins[::-1]
    assert back.share_better == pytest.approx(1 - there.share_better)


def test_block_size_and_progress_do_not_change_the_result(stored, monkeypatch):
    runs, results, calls = (stored(judged(1)), stored(judged(2))), [], []
    for block in (1, 500, 1 << 22):
        monkeypatch.setattr(comparison, "_BLOCK", block)
        calls.append([])
        results.append(compare_evaluations(*runs, 50, 0, calls[-1].append))
    for result in results[1:]:
        # sums of other lengths round otherwise
        assert result.interval == pytest.approx(results[0].interval, rel=0, abs=1e-12)
        assert result.share_better == results[0].share_better
    assert calls[0] == list(range(1, 51))
    assert 1 < len(calls[1]) < 50
    assert calls[2] == [50]


def small_run(verdicts, num_images=2, object_images=(0, 0, 0)):
    """One object of each of three classes; a class of verdicts 1 is found, of 0 is not."""
    boxes = np.tile([0.0, 0, 9, 9], (3, 1))
    objects = ObjectColumns(np.array(object_images), np.arange(3), boxes, np.zeros(3, np.bool_))
    kept = np.flatnonzero(verdicts)
    found = DetectionColumns(objects.images[kept], kept, np.full(len(kept), 0.5), boxes[kept])
    return evaluate_columns(("a", "b", "c"), num_images, objects, found)


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [([1, 0, 0], [0, 1, 1], (1, 2)), ([1, 1, 0], [1, 1, 0], (0, 0)), ([0, 0, 0], [1, 1, 1], (0, 3))],
)
def test_a_class_is_won_by_the_larger_ap_and_by_nobody_when_equal(stored, first, second, wins):
    runs = [stored(small_run(verdicts), image_names="ab") for verdicts in (first, second)]
    assert compare_evaluations(*runs, 10).wins == wins


def test_sets_without_any_object_are_passed_over(stored):
    runs = [stored(small_run(verdicts), image_names="ab") for verdicts in ([0, 0, 0], [1, 1, 1])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compare_evaluations(*runs, 50)
    assert result.interval == (1, 1)


def test_nothing_to_find_is_strict_json(stored):
    empty = judged(1, objects=replace(objects_of(), ignored=np.ones(40, np.bool_)))
    result = compare_evaluations(stored(empty), stored(empty), 10)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (document["difference"], document["wins"]) == (None, [0, 0])


@pytest.mark.parametrize(
    "other",
    [
        lambda: (judged(2, "voc07"), {}),
        lambda: (judged(2, "ilsvrc"), {}),
        lambda: (judged(2, objects=objects_of(9)), {}),
        lambda: (judged(2, objects=replace(objects_of(), boxes_inclusive=objects_of().boxes_inclusive + 1)), {}),
        lambda: (judged(2, objects=replace(objects_of(), ignored=np.zeros(40, np.bool_))), {}),
        lambda: (replace(judged(2), class_names=("rare", "usual", "common", "another")), {}),
        lambda: (judged(2), {"image_names": tuple(map(str, range(1, NUM_IMAGES + 1)))}),
        lambda: (judged(2), {"image_names": tuple(map(str, range(NUM_IMAGES + 1)))}),
    ],
    ids=["voc07", "ilsvrc", "objects", "boxes", "difficult", "classes", "image names", "number of images"],
)
def test_runs_on_something_else_are_refused(stored, other):
    evaluation, options = other()
    with pytest.raises(DataError, match="cannot be compared: A is pets val under voc rules"):
        compare_evaluations(stored(judged(1)), stored(evaluation, **options), 10)


def test_the_same_images_under_another_folder_name_can_be_compared(stored):
    result = compare_evaluations(stored(judged(1)), stored(judged(2), dataset="copy of pets val"), 10)
    assert result.class_names == CLASSES


@pytest.mark.slow
def test_the_program_compares_two_folders(stored, tmp_path):
    expected = compare_evaluations(stored(judged(1), "one"), stored(judged(2), "two"), 100, 7)
    result = run_tool("compare_runs.py", "one", "two", "--samples", 100, "--seed", 7, "--json", "-", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == json.loads(json.dumps(expected.to_json()))
    assert f"classes won: A {expected.wins[0]}, B {expected.wins[1]}" in result.stderr
    shown = run_tool("compare_runs.py", "one", "two", "--quiet", "--json", "out.json", folder=tmp_path)
    assert f"{expected.mean_average_precision[0]:.4f}" in shown.stdout
    assert "1000 resampled sets of images (seed 0)" in shown.stdout
    assert json.loads((tmp_path / "out.json").read_text())["wins"] == list(expected.wins)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "empty", "text", "cut"])
def test_the_program_refuses_a_folder_without_an_evaluation_in_one_sentence(stored, tmp_path, damage):
    stored(judged(1), "one")
    file = tmp_path / "two" / FILE_NAME
    if damage != "missing":
        file.parent.mkdir()
        whole = (tmp_path / "one" / FILE_NAME).read_bytes()
        file.write_bytes({"empty": b"", "text": b"hello", "cut": whole[:-200]}[damage])
    result = run_tool("compare_runs.py", "one", "two", folder=tmp_path)
    assert result.returncode == 3
    assert "two" in result.stderr
    assert "incdet evaluate" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
