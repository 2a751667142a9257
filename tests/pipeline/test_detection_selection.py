"""Detections selected from region scores: threshold, NMS, voting, parts; against slow loops and by hand-made boxes."""

import numpy as np
import pytest

from incdet.config.sections import DetectionsConfig
from incdet.detections import Detections
from incdet.ops.rescoring import PART_OVERLAP, part_shares, prominences
from incdet.pipeline.detection_selection import MAX_RIVALS, select_detections
from incdet.structures import Image, RegionScores

CLASSES = ("cat", "dog", "sheep")
PHOTO = Image(np.zeros((30, 40, 3), np.uint8), "photo.jpg")


def select(boxes: object, probabilities: object, voting_iou: float | None = None, **config: object) -> Detections:
    """What is selected without voting and without rescoring, if the settings do not ask for them."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = RegionScores(boxes, np.array(probabilities, np.float32).reshape(len(boxes), 3))
    config = {"voting_iou": voting_iou, "part_penalty": 0.0, "prominence_exponent": 0.0} | config
    return select_detections(scores, PHOTO, CLASSES, DetectionsConfig(**config))


def rows(detections: Detections) -> list[tuple[list[float], float, int]]:
    return list(zip(detections.boxes.tolist(), detections.scores.tolist(), detections.class_ids.tolist(), strict=True))


def area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def common_area(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def overlap(one: list[float], other: list[float]) -> float:
    common = common_area(one, other)
    return common / (area(one) + area(other) - common)


def slow_selection(boxes: np.ndarray, probabilities: np.ndarray, config: DetectionsConfig) -> list:
    """The oracle: one candidate after the other, best first, ties in the order of regions and then classes."""
    candidates = [
        (boxes[region].tolist(), float(value), class_id)
        for region, line in enumerate(probabilities)
        for class_id, value in enumerate(line)
        if value >= np.float32(config.score_threshold)
    ]
    kept: list[tuple[list[float], float, int]] = []
    for box, value, class_id in sorted(candidates, key=lambda candidate: -candidate[1]):
        rivals = [other for other, _, kind in kept if kind == class_id]
        if all(overlap(box, other) <= config.iou_threshold for other in rivals):
            kept.append((box, value, class_id))
    if config.voting_iou is not None:
        kept = [
            (slow_vote(box, class_id, candidates, config.voting_iou), value, class_id) for box, value, class_id in kept
        ]
    scored = [
        (box, float(np.float32(value * (1 - config.part_penalty * slow_share(box, value, class_id, kept)))), class_id)
        for box, value, class_id in kept
    ]
    exponent = config.prominence_exponent
    scored = [
        (box, float(np.float32(value * slow_prominence(box, value, scored) ** exponent)), class_id)
        for box, value, class_id in scored
    ]
    best = [entry for entry in scored if config.classes is None or CLASSES[entry[2]] in config.classes]
    best = sorted(best, key=lambda entry: -entry[1])[: config.max_per_image]
    return [entry for entry in best if entry[1] >= np.float32(config.score_threshold)]


def slow_vote(box: list[float], class_id: int, candidates: list, voting_iou: float) -> list[float]:
    """The mean of the boxes of a class around a box, weighted by their probabilities; the box itself is one of them."""
    voters = [
        (other, value) for other, value, kind in candidates if kind == class_id and overlap(box, other) >= voting_iou
    ]
    total = sum(value for _, value in voters)
    return [sum(other[side] * value for other, value in voters) / total for side in range(4)] if total else box


def slow_share(box: list[float], value: float, class_id: int, kept: list) -> float:
    """How much a box looks like a part of one of those that are kept; the oracle of `part_shares`."""
    shares = [0.0]
    for other, other_value, kind in kept:
        if kind == class_id and area(other) > area(box) and value > 0:
            inside = common_area(box, other) / area(box)
            beyond = (inside - PART_OVERLAP) / (1 - PART_OVERLAP)
            shares.append(min(max(beyond, 0), 1) * min(other_value / value, 1))
    return max(shares)


def slow_prominence(box: list[float], value: float, kept: list) -> float:
    """How large a box is beside those that are kept; the oracle of `prominences`."""
    if value == 0:
        return 1.0
    return min(area(box) / (area(other) * min(other_value / value, 1)) for other, other_value, _ in kept if other_value)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "config",
    [
        DetectionsConfig(),
        DetectionsConfig(iou_threshold=0.25, score_threshold=0.5),
        DetectionsConfig(iou_threshold=0.0, score_threshold=0.0),
        DetectionsConfig(iou_threshold=0.5, max_per_image=7),
        DetectionsConfig(iou_threshold=1.0, max_per_image=1000),
        DetectionsConfig(iou_threshold=0.5, classes=("sheep", "dog")),
    ],
    ids=["defaults", "quarter", "any overlap", "few", "none suppressed", "two classes"],
)
def test_random_regions_agree_with_a_slow_selection(seed, config):
    random = np.random.default_rng(seed)
    corners = random.integers(0, 20, (60, 2))
    boxes = np.concatenate([corners, corners + random.integers(1, 13, (60, 2))], axis=1).astype(np.float32)
    # 32nds are exact in float32, and few enough for ties
    probabilities = (random.integers(0, 33, (60, 3)) / 32).astype(np.float32)
    changed = {"voting_iou": None, "part_penalty": 0.0, "prominence_exponent": 0.0}
    expected = slow_selection(boxes, probabilities, config.model_copy(update=changed))
    assert rows(select(boxes, probabilities, **(config.model_dump() | changed))) == expected
    # without ties, scores of parts may differ by a rounding and change no place
    probabilities = random.random((60, 3)).astype(np.float32)
    expected = slow_selection(boxes, probabilities, config)
    found = rows(select(boxes, probabilities, **config.model_dump()))
    assert [class_id for _, _, class_id in found] == [class_id for _, _, class_id in expected]
    # the mean of boxes is not left outside the photo
    inside = np.array([box for box, _, _ in expected]).reshape(-1, 4).clip(0, [PHOTO.width, PHOTO.height] * 2)
    assert np.allclose(np.array([box for box, _, _ in found]).reshape(-1, 4), inside, atol=1e-4)
    assert [score for _, score, _ in found] == pytest.approx([score for _, score, _ in expected], rel=1e-6)


WHOLE, HEAD = [0, 0, 20, 10], [12, 0, 18, 8]


@pytest.mark.parametrize(
    ("boxes", "probabilities", "expected"),
    [
        # of 0.5, half of what a whole that is as probable would take, or that share of it
        ([WHOLE, HEAD], [[0.5, 0, 0], [0.5, 0, 0]], [0.5, 0.25]),
        ([WHOLE, HEAD], [[0.25, 0, 0], [0.5, 0, 0]], [0.375, 0.25]),
        # an object of another class is no whole, nor is a box of the same size
        ([WHOLE, HEAD], [[0.5, 0, 0], [0, 0.5, 0]], [0.5, 0.5]),
        ([HEAD, HEAD], [[0.5, 0, 0], [0.5, 0, 0]], [0.5]),
        # 85 % inside is half of the way from 70 to 100 %, 70 % none of it
        ([WHOLE, [17, 2, 21, 7]], [[0.5, 0, 0], [0.5, 0, 0]], [0.5, 0.5 * (1 - 0.5 * (0.75 - 0.7) / 0.3)]),
        ([WHOLE, [13, 0, 23, 8]], [[0.5, 0, 0], [0.5, 0, 0]], [0.5, 0.5]),
    ],
    ids=["as probable", "less probable", "another class", "the same box", "at the edge", "seven tenths"],
)
def test_what_lies_inside_a_larger_box_loses_some_of_its_score(boxes, probabilities, expected):
    found = select(boxes, probabilities, part_penalty=0.5)
    assert sorted(found.scores.tolist(), reverse=True) == pytest.approx(expected)
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    unchanged = select(boxes, probabilities).scores.tolist()
    assert unchanged == sorted(np.max(probabilities, axis=1), reverse=True)[: len(found)]


def test_a_part_goes_behind_its_whole_and_out_below_the_threshold():
    boxes, probabilities = [HEAD, WHOLE], [[0.5, 0, 0], [0.4, 0, 0]]
    for settings in ({"part_penalty": 0.5}, {"prominence_exponent": 0.3}):
        assert select(boxes, probabilities, **settings).boxes.tolist() == [WHOLE, HEAD]
        assert select(boxes, probabilities, **settings, max_per_image=1).boxes.tolist() == [WHOLE]
        assert select(boxes, probabilities, **settings, score_threshold=0.35).boxes.tolist() == [WHOLE]


def test_boxes_without_area_or_score_are_no_parts():
    boxes = np.array([[0, 0, 9, 9], [3, 3, 3, 5], [2, 2, 4, 4]], np.float32)
    scores = np.array([0.5, 0.5, 0], np.float32)
    assert part_shares(boxes, scores, np.zeros(3, np.int64)).tolist() == [0, 0, 0]
    assert part_shares(boxes[:0], scores[:0], np.zeros(0, np.int64)).shape == (0,)
    assert prominences(boxes, scores).tolist() == [1, 1, 1]
    assert prominences(boxes[:0], scores[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [(0.5, 0.5, 0.1**0.1), (0.5, 0.9, 0.1**0.1), (0.5, 0.25, 0.2**0.1), (0.5, 0.04, 1)],
    ids=["as probable", "more probable", "half as probable", "much less probable"],
)
def test_a_small_box_beside_a_large_one_loses_some_of_its_score(small, large, expected):
    """Of whichever class the large one is; it keeps its own score."""
    boxes, probabilities = [[0, 0, 5, 4], [10, 0, 20, 20]], [[small, 0, 0], [0, large, 0]]
    found = select(boxes, probabilities, prominence_exponent=0.1)
    scores = dict(zip(found.labels, found.scores.tolist(), strict=True))
    assert scores == {"cat": pytest.approx(small * expected), "dog": pytest.approx(large)}


def test_overlap_of_exactly_the_threshold_is_not_suppressed():
    boxes = [[0, 0, 10, 1], [0, 0, 3, 1]]  # IoU 3/10, the default threshold
    assert len(select(boxes, [[0.9, 0, 0], [0.8, 0, 0]])) == 2


def test_the_same_box_stays_in_every_class_it_is_good_for():
    found = select([[1, 1, 9, 9], [1, 1, 9, 9]], [[0.25, 0.75, 0], [0.5, 0.125, 0]])
    assert rows(found) == [([1, 1, 9, 9], 0.75, 1), ([1, 1, 9, 9], 0.5, 0)]
    assert found.labels == ["dog", "cat"]


def test_a_worse_box_is_suppressed_only_by_a_kept_one():
    chain = [[0, 0, 10, 1], [4, 0, 14, 1], [8, 0, 18, 1]]  # neighbours overlap by 3/7, the ends by 1/9
    found = select(chain, [[0.75, 0, 0], [0.5, 0, 0], [0.25, 0, 0]])
    assert found.boxes.tolist() == [chain[0], chain[2]]


def test_equal_scores_keep_the_order_of_the_regions():
    boxes = [[20, 0, 25, 5], [0, 0, 5, 5], [10, 0, 15, 5]]
    assert select(boxes, [[0.5, 0, 0]] * 3).boxes.tolist() == boxes
    assert select(boxes, [[0.5, 0, 0]] * 3, max_per_image=2).boxes.tolist() == boxes[:2]
    assert select([boxes[0], boxes[0]], [[0.5, 0, 0]] * 2).boxes.tolist() == [boxes[0]]


def test_best_score_first_across_classes():
    found = select([[0, 0, 5, 5], [10, 0, 15, 5], [20, 0, 25, 5]], [[0.25, 0, 0], [0, 0, 0.75], [0, 0.5, 0]])
    assert found.scores.tolist() == [0.75, 0.5, 0.25]
    assert found.labels == ["sheep", "dog", "cat"]


@pytest.mark.parametrize(("threshold", "count"), [(0.0, 6), (0.25, 3), (0.5, 2), (0.625, 1), (1.0, 0)])
def test_scores_from_the_threshold_on_are_kept(threshold, count):
    found = select([[0, 0, 5, 5], [10, 0, 15, 5]], [[0.25, 0.5, 0], [0.75, 0, 0]], score_threshold=threshold)
    assert len(found) == count


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(None, ["dog", "cat", "sheep"]), (("sheep", "dog"), ["dog", "sheep"]), (("cat",), ["cat"])],
)
def test_only_the_asked_classes_are_looked_for(classes, labels):
    found = select([[0, 0, 5, 5]], [[0.25, 0.5, 0.125]], classes=classes)
    assert found.labels == labels
    assert found.class_names == CLASSES


@pytest.mark.parametrize(("boxes", "probabilities"), [([], []), ([[0, 0, 5, 5]], [[0, 0, 0]])])
def test_no_regions_or_no_good_ones_give_empty_detections(boxes, probabilities):
    found = select(boxes, probabilities)
    assert (found.boxes.shape, found.scores.shape, found.class_ids.shape) == ((0, 4), (0,), (0,))


def test_detections_know_their_photo():
    found = select([[0, 0, 5, 5]], [[0.5, 0, 0]])
    assert (found.image, found.width, found.height) == ("photo.jpg", 40, 30)


def test_probabilities_rounded_above_one_become_one():
    assert select([[0, 0, 5, 5]], [[1 + 5e-7, 0, 0]]).scores.tolist() == [1.0]


@pytest.mark.parametrize("seed", range(5))
def test_found_boxes_are_the_weighted_mean_of_their_class_around_them(seed):
    random = np.random.default_rng(seed)
    corners = random.integers(0, 9, (60, 2))
    boxes = np.concatenate([corners, corners + random.integers(4, 13, (60, 2))], axis=1).astype(np.float32)
    probabilities = random.random((60, 3)).astype(np.float32)
    without = select(boxes, probabilities, score_threshold=0.2)
    found = select(boxes, probabilities, score_threshold=0.2, voting_iou=0.5)
    assert found.scores.tolist() == without.scores.tolist()
    assert not np.allclose(found.boxes, without.boxes, atol=0.5)
    for before, after, class_id in zip(without.boxes, found.boxes, without.class_ids, strict=True):
        values = probabilities[:, class_id]
        voters = [row for row in range(60) if values[row] >= np.float32(0.2) and overlap(before, boxes[row]) >= 0.5]
        expected = sum(boxes[row] * values[row] for row in voters) / sum(values[row] for row in voters)
        assert np.allclose(after, expected, atol=1e-4)


def test_boxes_vote_however_improbable_they_are():
    found = select([[2, 3, 9, 9]], [[1e-20, 0, 0]], voting_iou=0.5, score_threshold=0.0)
    assert np.allclose(found.boxes, [[2, 3, 9, 9]] * 3)


@pytest.mark.parametrize("seed", range(20))
def test_means_of_boxes_do_not_leave_the_photo(seed):
    generator = np.random.default_rng(seed)
    boxes = np.tile(np.array([0, 0, PHOTO.width, PHOTO.height], np.float32), (50, 1))
    boxes[:, :2] += generator.uniform(0, 0.1, (50, 2)).astype(np.float32)
    found = select(boxes, generator.uniform(0.1, 1, (50, 3)), voting_iou=0.5)
    assert (found.boxes[:, 2:] == [PHOTO.width, PHOTO.height]).all()


def test_boxes_that_nothing_overlaps_stay_where_they_are():
    boxes = [[0, 0, 5, 5], [10, 0, 15, 5], [20, 3, 20, 9]]  # the last one has no surface
    found = select(boxes, [[0.5, 0, 0], [0.25, 0, 0], [0.125, 0, 0]], voting_iou=0.5)
    assert found.boxes.tolist() == boxes


def test_objects_of_other_classes_count_in_the_scores_of_those_looked_for():
    boxes, probabilities = [[0, 0, 5, 4], [10, 0, 20, 20]], [[0.5, 0, 0], [0, 0.9, 0]]
    everything = select(boxes, probabilities, prominence_exponent=0.1)
    cats = select(boxes, probabilities, prominence_exponent=0.1, classes=("cat",), max_per_image=1)
    assert rows(cats) == [row for row in rows(everything) if row[2] == 0]


def test_as_many_are_rescored_as_are_wanted():
    random = np.random.default_rng(0)
    corners = random.integers(0, 20, (1500, 2))
    boxes = np.concatenate([corners, corners + random.integers(1, 13, (1500, 2))], axis=1)
    probabilities = random.uniform(0.1, 1, (1500, 1)) * [1, 0, 0]
    settings = {"iou_threshold": 1.0, "part_penalty": 0.5, "prominence_exponent": 0.1, "score_threshold": 0.0}
    few, many = (select(boxes, probabilities, **settings, max_per_image=number) for number in (100, 2 * MAX_RIVALS))
    assert (len(few), len(many)) == (100, 2 * MAX_RIVALS)


def test_a_class_that_is_looked_for_is_found_behind_any_number_of_others():
    """Tiles of a dog each, and a less probable cat."""
    corners = np.stack(np.meshgrid(np.arange(0, 40, 0.8), np.arange(0, 30, 0.8)), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corners, corners + 0.8], axis=1)
    assert len(boxes) > MAX_RIVALS
    probabilities = np.tile([0, 0.9, 0], (len(boxes), 1))
    probabilities[7] = [0.1, 0, 0]
    assert select(boxes, probabilities, classes=("cat",)).scores.tolist() == [pytest.approx(0.1)]
