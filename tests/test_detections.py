import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from incdet.config.sections import DetectionsConfig, ImagesConfig
from incdet.detections import Detections, select_detections
from incdet.errors import ConfigurationError, ImageError, OutputError
from incdet.images import read_image
from incdet.structures import Image, RegionScores

CLASSES = ("cat", "dog", "sheep")
PHOTO = Image(np.zeros((30, 40, 3), np.uint8), "photo.jpg")


def select(boxes: object, probabilities: object, voting_iou: float | None = None, **config: object) -> Detections:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = RegionScores(boxes, np.array(probabilities, np.float32).reshape(len(boxes), 3))
    return select_detections(scores, PHOTO, CLASSES, DetectionsConfig(voting_iou=voting_iou, **config))


def rows(detections: Detections) -> list[tuple[list[float], float, int]]:
    return list(zip(detections.boxes.tolist(), detections.scores.tolist(), detections.class_ids.tolist(), strict=True))


def overlap(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - common
    return common / union


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
    return kept[: config.max_per_image]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "config",
    [
        DetectionsConfig(),
        DetectionsConfig(iou_threshold=0.25, score_threshold=0.5),
        DetectionsConfig(iou_threshold=0.0, score_threshold=0.0),
        DetectionsConfig(iou_threshold=0.5, max_per_image=7),
        DetectionsConfig(iou_threshold=1.0, max_per_image=1000),
    ],
    ids=["defaults", "quarter", "any overlap", "few", "none suppressed"],
)
def test_random_regions_agree_with_a_slow_selection(seed, config):
    random = np.random.default_rng(seed)
    corners = random.integers(0, 20, (60, 2))
    boxes = np.concatenate([corners, corners + random.integers(1, 13, (60, 2))], axis=1).astype(np.float32)
    # 32nds are exact in float32, and few enough for ties
    probabilities = (random.integers(0, 33, (60, 3)) / 32).astype(np.float32)
    expected = slow_selection(boxes, probabilities, config)
    assert rows(select(boxes, probabilities, **(config.model_dump() | {"voting_iou": None}))) == expected


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


FILES = {"jpg": "JPEG", "png": "PNG"}


@pytest.fixture
def found(tmp_path):
    """Detections in a file of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    photo = Image(pixels, str(tmp_path / "photo.png"))
    scores = RegionScores(np.array([[4, 5, 20, 25]], np.float32), np.array([[0, 0.75, 0.125]], np.float32))
    return select_detections(scores, photo, CLASSES, DetectionsConfig(voting_iou=None))


def test_repr_is_short_and_names_the_best(found):
    assert repr(found).endswith("photo.png, 40x30, 2: dog 0.75, sheep 0.12)")
    assert repr(found[:0]).endswith("photo.png, 40x30, 0)")
    many = select([[x, 0, x + 2, 5] for x in range(0, 30, 3)], [[0.5, 0, 0]] * 10)
    assert repr(many) == "Detections(photo.jpg, 40x30, 10: cat 0.50, cat 0.50, cat 0.50, ...)"


def test_to_dict_is_plain_json(found):
    assert json.loads(json.dumps(found[:1].to_dict())) == {
        "image": found.image,
        "width": 40,
        "height": 30,
        "detections": [{"label": "dog", "class_id": 1, "score": 0.75, "box": [4, 5, 20, 25]}],
    }


def test_a_photo_in_a_file_is_known(found):
    pixels = np.asarray(PIL.Image.open(found.image))
    assert np.array_equal(found.draw(), found.draw(pixels))
    assert [np.array_equal(crop, pixels[5:25, 4:20]) for crop in found.crops()] == [True, True]
    Path(found.image).unlink()
    with pytest.raises(ImageError, match="give the photo"):
        found.crops()
    assert len(found.crops(pixels)) == 2


def test_a_photo_that_was_an_array_is_kept_where_it_was_given_to_detect(found):
    pixels = np.zeros((30, 40, 3), np.uint8)
    with pytest.raises(ImageError, match="'array', is not known"):
        replace(found, image="array").draw()
    kept = replace(found, image="array", photo=Image(pixels))
    assert kept[:1].draw().any()
    assert "pixels" not in repr(kept)


def test_another_photo_is_no_photo_of_these_detections(found):
    smaller = np.zeros((15, 20, 3), np.uint8)
    with pytest.raises(ImageError, match=r"20x15.*40x30"):
        found.draw(smaller)
    assert found.rescaled(20, 15).crops(smaller)[0].shape == (10, 8, 3)


@pytest.mark.parametrize("ending", ["jpg", "png", "JSON"])
def test_saving_goes_by_the_ending(found, tmp_path, ending):
    file = tmp_path / "new" / f"found.{ending}"
    for _ in range(2):
        found.save(file)
    if ending == "JSON":
        assert json.loads(file.read_text()) == found.to_dict()
    else:
        picture = PIL.Image.open(file)
        assert (picture.format, picture.size) == (FILES[ending], (40, 30))
        difference = np.abs(np.asarray(picture, np.int16) - found.draw())
        assert difference.max() == 0 if ending == "png" else difference.mean() < 60


def test_saving_never_replaces_the_photo(found, tmp_path):
    before = Path(found.image).read_bytes()
    for name, words in (("photo.png", "their photo"), ("found.tif", "none of"), ("found", "none of")):
        with pytest.raises(OutputError, match=words):
            found.save(tmp_path / name)
    # nor the one that is given, where the detections know theirs by another name
    with pytest.raises(OutputError, match="their photo"):
        replace(found, image="array").save(tmp_path / "photo.png", tmp_path / "photo.png")
    assert Path(found.image).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["photo.png"]


def test_a_photo_larger_than_the_default_limit_is_drawn_where_it_was_detected_in(found, monkeypatch):
    monkeypatch.setattr(ImagesConfig.model_fields["max_megapixels"], "default", 0.001)
    ImagesConfig.model_rebuild(force=True)
    try:
        assert found.draw().shape == (30, 40, 3)
        with pytest.raises(ImageError, match="refused"):
            read_image(found.image)
    finally:
        monkeypatch.undo()
        ImagesConfig.model_rebuild(force=True)


def test_classes_without_an_id_in_the_data_set_are_told(found):
    assert [entry["category_id"] for entry in found.to_coco()] == [2, 3]
    assert [entry["category_id"] for entry in found.to_coco(category_ids={"dog": 18, "sheep": 20})] == [18, 20]
    for ids in ({"dog": 18}, {}):
        with pytest.raises(ConfigurationError, match=r"category_ids have no id of .*sheep, found in"):
            found.to_coco(category_ids=ids)
