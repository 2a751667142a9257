import json
import math
import random
from dataclasses import dataclass

import numpy as np
import pytest

from incdet.data.voc import read_voc
from incdet.evaluation.average_precision import FALSE, IGNORED, TRUE, Evaluation, evaluate_detections, match_image
from incdet.structures import Detections, GroundTruth

Corners = tuple[int, int, int, int]
"""xmin, ymin, xmax, ymax in VOC's own convention: whole, 1-based, inclusive."""


@dataclass
class Photo:
    """What the oracle sees of an image: (class id, corners, difficult) and (class id, corners, score)."""

    objects: list[tuple[int, Corners, bool]]
    found: list[tuple[int, Corners, float]]


def devkit_overlap(one: Corners, other: Corners) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (one, other)]
    return width * height / (areas[0] + areas[1] - width * height)


def devkit_ap(photos: list[Photo], class_id: int, min_overlap: float) -> tuple[float | None, float | None]:
    """(AP, recall) after VOCevaldet.m and VOCap.m, line by line; None where the class has no required object."""
    objects = [[(box, difficult) for kind, box, difficult in photo.objects if kind == class_id] for photo in photos]
    required = sum(not difficult for boxes in objects for _, difficult in boxes)
    if required == 0:
        return None, None
    lines = [
        (score, image, box)
        for image, photo in enumerate(photos)
        for kind, box, score in photo.found
        if kind == class_id
    ]
    lines.sort(key=lambda line: -line[0])  # stable, as MATLAB's sort
    taken, true, false = set(), 0, 0
    recall, precision = [0.0], [0.0]
    for _, image, box in lines:
        best, overlap_max = None, -math.inf
        for index, (other, _) in enumerate(objects[image]):
            overlap = devkit_overlap(box, other)
            if overlap > overlap_max:
                best, overlap_max = index, overlap
        if overlap_max >= min_overlap:
            if not objects[image][best][1]:
                if (image, best) not in taken:
                    true += 1
                    taken.add((image, best))
                else:
                    false += 1
        else:
            false += 1
        recall.append(true / required)
        # MATLAB has 0/0 = NaN while only difficult objects were found, which max() in the envelope passes over, as 0
        precision.append(true / (true + false) if true + false else 0.0)
    last = recall[-1]
    recall.append(1.0)
    precision.append(0.0)
    for index in range(len(precision) - 2, -1, -1):
        precision[index] = max(precision[index], precision[index + 1])
    steps = [index for index in range(1, len(recall)) if recall[index] != recall[index - 1]]
    return sum((recall[index] - recall[index - 1]) * precision[index] for index in steps), last


def half_open(boxes: list[Corners]) -> np.ndarray:
    return np.array([(x1 - 1, y1 - 1, x2, y2) for x1, y1, x2, y2 in boxes], np.float32).reshape(-1, 4)


def evaluate(photos: list[Photo], num_classes: int, iou_threshold: float = 0.5) -> Evaluation:
    names = tuple(f"class {index}" for index in range(num_classes))
    truths, detections = [], []
    for number, photo in enumerate(photos):
        kinds, boxes, difficult = ([entry[part] for entry in photo.objects] for part in range(3))
        ids, ignored = np.array(kinds, np.int64), np.array(difficult, np.bool_)
        truths.append(GroundTruth(str(number), 99, 99, half_open(boxes), ids, ignored))
        kinds, boxes, scores = ([entry[part] for entry in photo.found] for part in range(3))
        ids, scores = np.array(kinds, np.int64), np.array(scores, np.float32)
        detections.append(Detections(str(number), 99, 99, half_open(boxes), scores, ids, names))
    return evaluate_detections(names, truths, detections, iou_threshold)


def assert_agrees_with_the_devkit(photos: list[Photo], num_classes: int, iou_threshold: float) -> None:
    evaluation = evaluate(photos, num_classes, iou_threshold)
    expected = [devkit_ap(photos, class_id, iou_threshold) for class_id in range(num_classes)]
    for column, values in enumerate((evaluation.average_precision, evaluation.recall)):
        wanted = [math.nan if pair[column] is None else pair[column] for pair in expected]
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-12)
    present = [ap for ap, _ in expected if ap is not None]
    mean = sum(present) / len(present) if present else math.nan
    assert evaluation.mean_average_precision == pytest.approx(mean, abs=1e-12, nan_ok=True)
    assert list(evaluation.to_json()["ap"].values()) == pytest.approx([ap for ap, _ in expected], abs=1e-12)


def random_corners(random_source: random.Random, side: int = 9) -> Corners:
    xs, ys = (sorted(random_source.randint(1, side) for _ in range(2)) for _ in range(2))
    return xs[0], ys[0], xs[1], ys[1]


def random_photo(random_source: random.Random) -> Photo:
    """Objects of classes 0-2 and detections of classes 0, 1 and 3, so that each of 2 and 3 lacks one side."""
    objects, found = [], []
    for _ in range(random_source.choice([0, 1, 2, 5])):
        objects.append((random_source.randint(0, 2), random_corners(random_source), random_source.random() < 0.25))
    for _ in range(random_source.choice([0, 3, 8])):
        close = objects and random_source.random() < 0.5
        x1, y1, x2, y2 = random_source.choice(objects)[1] if close else random_corners(random_source)
        box = (x1, y1, x2 + random_source.randint(0, 1), y2)
        # few different scores, so that ties within and between images are common
        found.append((random_source.choice([0, 1, 3]), box, random_source.randint(0, 8) / 8))
    return Photo(objects, found)


@pytest.mark.parametrize("iou_threshold", [0.5, 0.7])
@pytest.mark.parametrize("seed", range(40))
def test_random_cases_agree_with_the_devkit(seed, iou_threshold):
    random_source = random.Random(seed)
    for _ in range(5):
        photos = [random_photo(random_source) for _ in range(random_source.randint(1, 12))]
        assert_agrees_with_the_devkit(photos, 4, iou_threshold)


def test_disturbed_real_annotations_agree_with_the_devkit(shared_folder):
    dataset, random_source, photos = read_voc(shared_folder / "data" / "voc2012-subset", "val"), random.Random(0), []
    for _, truth in dataset:
        boxes = [(int(x1) + 1, int(y1) + 1, int(x2), int(y2)) for x1, y1, x2, y2 in truth.boxes]
        objects = list(zip(truth.class_ids.tolist(), boxes, truth.ignored.tolist(), strict=True))
        found = []
        for kind, (x1, y1, x2, y2), _ in objects * 3:
            right, down = (random_source.randint(0, 1 + side // 2) for side in (x2 - x1, y2 - y1))
            box = (x1 + right, y1 + down, x2 + right, y2 + down)
            found.append((kind, box, random_source.randint(0, 50) / 50))
        photos.append(Photo(objects, found))
    assert_agrees_with_the_devkit(photos, len(dataset.class_names), 0.5)
    assert 0.1 < evaluate(photos, len(dataset.class_names)).mean_average_precision < 0.9


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
    assert (evaluation.num_images, evaluation.num_detections) == (300, 661)
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
    photo = Photo([(0, A, False), (0, B, False)], [(0, box, score) for box, score in found])
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
    scores, ignored = np.array(scores, np.float32), np.array(difficult, np.bool_)
    assert match_image(half_open(boxes), scores, half_open(objects), ignored, 0.5).tolist() == verdicts


def test_equal_scores_are_ordered_by_image():
    right, wrong = Photo([(0, A, False)], [(0, A, 0.5)]), Photo([], [(0, A, 0.5)])
    assert evaluate([right, wrong], 1).mean_average_precision == 1
    assert evaluate([wrong, right], 1).mean_average_precision == 1 / 2


def test_class_without_required_objects_is_left_out_of_the_mean():
    found = [(0, A, 0.9), (1, A, 0.9), (2, A, 0.9), (3, FAR, 0.9)]
    photo = Photo([(0, A, False), (2, A, True), (3, A, False), (3, B, True)], found)
    document = evaluate([photo], 4).to_json()
    assert document["ap"] == {"class 0": 1.0, "class 1": None, "class 2": None, "class 3": 0.0}
    assert (document["mAP"], document["median_AP"], document["num_ground_truth"]) == (0.5, 0.5, 2)


@pytest.mark.parametrize("photos", [[], [Photo([], [])], [Photo([(0, A, True)], [(0, A, 0.9)])]])
def test_nothing_to_find_gives_null_in_strict_json(photos):
    document = json.loads(json.dumps(evaluate(photos, 1).to_json(), allow_nan=False))
    counts = {"num_images": len(photos), "num_detections": sum(len(p.found) for p in photos), "num_ground_truth": 0}
    assert document == {"rules": "voc", "mAP": None, "median_AP": None, "ap": {"class 0": None}} | counts


def test_json_keys():
    keys = {"rules", "mAP", "median_AP", "ap", "num_images", "num_detections", "num_ground_truth"}
    assert set(evaluate([Photo([(0, A, False)], [(0, A, 0.9)])], 1).to_json()) == keys


def test_other_classes_or_another_number_of_images_are_refused():
    truth = GroundTruth("a", 9, 9, half_open([A]), np.zeros(1, np.int64), np.zeros(1, np.bool_))
    found = Detections("a", 9, 9, half_open([A]), np.ones(1, np.float32), np.zeros(1, np.int64), ("dog",))
    with pytest.raises(ValueError, match="expected detections for 2 images, got 1"):
        evaluate_detections(("dog",), [truth, truth], [found])
    with pytest.raises(ValueError, match="a: expected the data set's 1 classes"):
        evaluate_detections(("cat",), [truth], [found])
