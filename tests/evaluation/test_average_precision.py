"""Average precision against a slow reference that was written from the rules alone, and against hand-made cases."""

import json
import math
from dataclasses import replace

import devkit_reference as reference
import numpy as np
import pytest
from evaluations import evaluate, evaluate_reference_values
from hypothesis import given, settings
from hypothesis import strategies as st

from incdet.data.ilsvrc import read_ilsvrc
from incdet.data.voc import read_voc
from incdet.detections import Detections
from incdet.evaluation import matching
from incdet.evaluation.average_precision import evaluate_detections
from incdet.evaluation.columns import object_columns
from incdet.evaluation.rules import FALSE, IGNORED, TRUE
from incdet.structures import GroundTruth

Box = reference.Box
"""xmin, ymin, xmax, ymax, inclusive."""

RULES = ("ilsvrc", "voc", "voc07")


def assert_agrees(num_classes, objects, detections, rules, blacklist=frozenset()):
    evaluation = evaluate_reference_values(num_classes, objects, detections, rules, blacklist)
    if rules == "ilsvrc":
        expected = reference.evaluate_ilsvrc(num_classes, objects, detections, blacklist)
    else:
        expected = reference.evaluate_voc(num_classes, objects, detections, eleven_point=rules == "voc07")
    for class_id, wanted in enumerate(expected):
        of_class = evaluation.detections.class_ids == class_id
        assert evaluation.verdicts[of_class].tolist() == wanted.verdicts
        assert evaluation.num_objects[class_id] == wanted.num_required
        for got, value in (
            (evaluation.average_precision[class_id], wanted.average_precision),
            (evaluation.recall[class_id], wanted.recall),
        ):
            assert math.isnan(got) if value is None else got == pytest.approx(value, rel=0, abs=1e-12)
    present = [wanted.average_precision for wanted in expected if wanted.average_precision is not None]
    mean = sum(present) / len(present) if present else math.nan
    assert evaluation.mean_average_precision == pytest.approx(mean, rel=0, abs=1e-12, nan_ok=True)


@st.composite
def boxes(draw, step):
    """Small boxes, so that overlaps at the threshold, duplicates and tiny objects are common."""
    sides = st.sampled_from([0, 1, 2, 3, 4, 5, 9, 10, 19, 40])
    x, y = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    return x * step, y * step, (x + draw(sides)) * step, (y + draw(sides)) * step


@st.composite
def data_sets(draw):
    """(number of classes, objects, detections, blacklist): some images and classes stay empty."""
    num_images, num_classes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    step = draw(st.sampled_from([1, 0.5, 0.1]))
    images, classes = st.integers(0, num_images - 1), st.integers(0, num_classes - 1)
    objects = draw(st.lists(st.builds(reference.ReferenceObject, images, classes, boxes(step), st.booleans())))
    objects.sort(key=lambda entry: entry.image)
    # few different scores, so that ties within and between images are common
    scores = st.integers(0, 3).map(lambda tenths: tenths / 10)
    places = st.builds(reference.ReferenceDetection, images, classes, scores, boxes(step))
    if objects:
        near = st.sampled_from(objects).flatmap(
            lambda entry: st.builds(
                reference.ReferenceDetection, st.just(entry.image), st.just(entry.class_id), scores, st.just(entry.box)
            )
        )
        places = st.one_of(places, near)
    blacklist = draw(st.sets(st.tuples(images, classes), max_size=3))
    return num_classes, objects, draw(st.lists(places, max_size=25)), blacklist


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(case=data_sets(), block=st.sampled_from([1, 2, 3, 1 << 20]))
def test_random_cases_agree_with_the_reference(rules, case, block):
    num_classes, objects, detections, blacklist = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_BLOCK", block)
        assert_agrees(num_classes, objects, detections, rules, blacklist if rules == "ilsvrc" else frozenset())


def disturbed(truths, num_classes, seed):
    """(objects, detections): of real annotations, every third moved by up to half its size, some of another class."""
    generator, objects, detections = np.random.default_rng(seed), [], []
    columns = object_columns(truths)
    rows = zip(columns.images, columns.class_ids, columns.boxes_inclusive, columns.ignored, strict=True)
    for image, class_id, box, ignored in rows:
        objects.append(reference.ReferenceObject(int(image), int(class_id), tuple(box.tolist()), bool(ignored)))
        for _ in range(3):
            shift = generator.integers(0, 2 + (box[2:] - box[:2]) // 2)
            kind = int(class_id) if generator.random() < 0.8 else int(generator.integers(num_classes))
            moved = tuple((box + np.tile(shift, 2)).tolist())
            detections.append(reference.ReferenceDetection(int(image), kind, int(generator.integers(50)) / 50, moved))
    return objects, detections


@pytest.mark.parametrize("rules", RULES)
def test_disturbed_voc_annotations_agree_with_the_reference(shared_folder, rules):
    dataset = read_voc(shared_folder / "data" / "voc2012-subset", "val")
    objects, detections = disturbed(dataset.ground_truths, 20, 0)
    assert_agrees(20, objects, detections, rules)
    assert 0.1 < evaluate_reference_values(20, objects, detections, rules).mean_average_precision < 0.9


@pytest.mark.slow
def test_disturbed_ilsvrc_annotations_agree_with_the_reference(shared_folder):
    dataset = read_ilsvrc(shared_folder / "data" / "ilsvrc-det", "val2").subset(list(range(0, 9917, 12)))
    objects, detections = disturbed(dataset.ground_truths, 200, 1)
    blacklist = {(entry.image, entry.class_id) for entry in objects[::40]}
    assert_agrees(200, objects, detections, "ilsvrc", blacklist)


def test_perfect_detections_on_real_annotations_score_one(shared_folder):
    dataset = read_voc(shared_folder / "data" / "voc2012-subset", "val")
    detections = [
        Detections(truth.image, truth.width, truth.height, truth.boxes, scores, truth.class_ids, dataset.class_names)
        for _, truth in dataset
        for scores in [np.ones(len(truth), np.float32)]
    ]
    evaluation = evaluate_detections(dataset.class_names, dataset.ground_truths, detections)
    assert evaluation.mean_average_precision == evaluation.median_average_precision == 1.0
    assert (evaluation.recall == 1).all()
    assert (evaluation.num_images, len(evaluation.detections)) == (300, 661)
    assert evaluation.num_objects.sum() == sum(int((~truth.ignored).sum()) for _, truth in dataset)


A, B, FAR = (1, 1, 10, 10), (21, 1, 30, 10), (51, 51, 60, 60)


@pytest.mark.parametrize(
    ("found", "ap"),
    [
        ([(A, 0.9), (B, 0.8)], 1),
        ([], 0),
        ([(FAR, 0.9)], 0),
        ([(A, 0.9)], 1 / 2),
        ([(A, 0.9), (B, 0.8), (FAR, 0.7)], 1),
        ([(FAR, 0.9), (A, 0.8)], 1 / 4),
        ([(A, 0.9), (FAR, 0.8), (B, 0.7)], 1 / 2 + 1 / 2 * 2 / 3),
        ([(B, 0.7), (A, 0.9), (FAR, 0.8)], 1 / 2 + 1 / 2 * 2 / 3),
        ([(A, 0.9), (A, 0.8), (B, 0.7)], 1 / 2 + 1 / 2 * 2 / 3),
        ([(FAR, 0.9), (A, 0.8), (B, 0.7)], 2 / 3),
    ],
)
def test_hand_calculated_ap_of_two_objects(found, ap):
    photo = ([(0, A, False), (0, B, False)], [(0, box, score) for box, score in found])
    assert evaluate([photo], 1).mean_average_precision == pytest.approx(ap, abs=1e-12)


@pytest.mark.parametrize(
    ("boxes", "scores", "objects", "difficult", "verdicts"),
    [
        ([A, A], [0.8, 0.9], [A], [False], [FALSE, TRUE]),
        ([A, A], [0.9, 0.9], [A], [False], [TRUE, FALSE]),
        ([A, A, FAR], [0.9, 0.8, 0.7], [A], [True], [IGNORED, IGNORED, FALSE]),
        # the second overlaps the free object well enough, but the taken one better
        ([A, (1, 1, 11, 10)], [0.9, 0.8], [A, (3, 1, 12, 10)], [False, False], [TRUE, FALSE]),
        ([(1, 1, 11, 10)], [0.9], [(3, 1, 12, 10), A], [False, True], [IGNORED]),
        ([(1, 1, 1, 2)], [0.9], [(1, 1, 2, 2)], [False], [TRUE]),
        ([(1, 1, 50, 100)], [0.9], [(1, 1, 101, 100)], [False], [FALSE]),
        ([A, B], [0.9, 0.8], [], [], [FALSE, FALSE]),
        ([], [], [A], [False], []),
    ],
    ids=[
        "best score takes it", "first of equals takes it", "difficult counts neither way", "no second choice",
        "difficult is best", "exactly one half", "just below one half", "no objects", "no detections",
    ],
)  # fmt: skip
def test_verdicts(boxes, scores, objects, difficult, verdicts):
    wanted = [(0, box, ignored) for box, ignored in zip(objects, difficult, strict=True)]
    found = [(0, box, score) for box, score in zip(boxes, scores, strict=True)]
    assert evaluate([(wanted, found)], 1).verdicts.tolist() == verdicts


def test_ilsvrc_takes_the_best_free_object_where_voc_does_not():
    wanted, found = [(0, A, False), (0, (3, 1, 12, 10), False)], [(0, A, 0.9), (0, (1, 1, 11, 10), 0.8)]
    assert evaluate([(wanted, found)], 1, "voc").verdicts.tolist() == [TRUE, FALSE]
    assert evaluate([(wanted, found)], 1, "ilsvrc").verdicts.tolist() == [TRUE, TRUE]


@pytest.mark.parametrize(("width", "hit"), [(5, True), (4, True), (2, False)])
def test_small_objects_ask_for_less_overlap_under_ilsvrc(width, hit):
    # a 10 x 10 object asks for 100 / 400
    evaluation = evaluate([([(0, A, False)], [(0, (1, 1, width, 10), 0.9)])], 1, "ilsvrc")
    assert evaluation.verdicts.tolist() == [TRUE if hit else FALSE]
    assert evaluate([([(0, A, False)], [(0, (1, 1, 4, 10), 0.9)])], 1, "voc").verdicts.tolist() == [FALSE]


def test_detections_on_images_without_objects_are_false():
    photos = [([(0, A, False)], [(0, A, 0.5)]), ([], [(0, A, 0.9)])]
    assert evaluate(photos, 1, "ilsvrc").mean_average_precision == 0.5


def test_equal_scores_are_ordered_by_image():
    right, wrong = ([(0, A, False)], [(0, A, 0.5)]), ([], [(0, A, 0.5)])
    assert evaluate([right, wrong], 1).mean_average_precision == 1
    assert evaluate([wrong, right], 1).mean_average_precision == 1 / 2


def test_class_without_required_objects_is_left_out_of_the_mean():
    found = [(0, A, 0.9), (1, A, 0.9), (2, A, 0.9), (3, FAR, 0.9)]
    photo = ([(0, A, False), (2, A, True), (3, A, False), (3, B, True)], found)
    document = evaluate([photo], 4).to_json()
    assert document["ap"] == {"class 0": 1.0, "class 1": None, "class 2": None, "class 3": 0.0}
    assert (document["mAP"], document["median_AP"], document["num_ground_truth"]) == (0.5, 0.5, 2)


@pytest.mark.parametrize("photos", [[], [([], [])], [([(0, A, True)], [(0, A, 0.9)])]])
def test_nothing_to_find_gives_null_in_strict_json(photos):
    document = json.loads(json.dumps(evaluate(photos, 1).to_json(), allow_nan=False))
    counts = {
        "num_images": len(photos),
        "num_detections": sum(len(found) for _, found in photos),
        "num_ground_truth": 0,
    }
    assert document == {"rules": "voc", "mAP": None, "median_AP": None, "ap": {"class 0": None}} | counts


def test_pooled_detections_of_all_classes_are_one_list():
    photo = ([(0, A, False), (1, A, False), (1, B, True)], [(1, FAR, 0.95), (0, A, 0.9), (1, B, 0.85), (1, A, 0.8)])
    judged = evaluate([photo], 2)
    assert judged.mean_average_precision == pytest.approx((1 + 1 / 2) / 2)
    # false, found, on an ignored object, found: 2 of 3
    assert judged.pooled_average_precision == pytest.approx(2 / 3)
    assert np.isnan(evaluate([([], [])], 1).pooled_average_precision)


def test_pooled_detections_of_equal_score_are_ordered_by_image_wherever_they_stand():
    photos = [([(0, A, False)], [(0, A, 0.5)]), ([(1, A, False)], [(1, FAR, 0.5)])]
    judged = evaluate(photos, 2)
    detections = judged.detections[np.array([1, 0])]
    turned = replace(judged, detections=detections, verdicts=judged.verdicts[::-1], matches=judged.matches[::-1])
    assert judged.pooled_average_precision == turned.pooled_average_precision == pytest.approx(0.5)


def test_json_keys():
    keys = {"rules", "mAP", "median_AP", "ap", "num_images", "num_detections", "num_ground_truth"}
    assert set(evaluate([([(0, A, False)], [(0, A, 0.9)])], 1).to_json()) == keys


def test_other_classes_or_another_number_of_images_are_refused():
    truth = GroundTruth("a", 9, 9, np.array([[0, 0, 10, 10]], np.float32), np.zeros(1, np.int64), np.zeros(1, np.bool_))
    found = Detections(
        "a", 9, 9, np.array([[0, 0, 10, 10]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("dog",)
    )
    with pytest.raises(ValueError, match="expected detections for 2 images, got 1"):
        evaluate_detections(("dog",), [truth, truth], [found])
    with pytest.raises(ValueError, match="a: expected the data set's 1 classes"):
        evaluate_detections(("cat",), [truth], [found])
