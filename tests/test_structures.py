import dataclasses

import numpy as np
import pytest
import torch

from incdet.detections import Detections
from incdet.structures import GroundTruth, Image, Proposals, RegionScores

BOXES = np.array([[0, 0, 4, 3], [1, 1, 2, 2], [5, 5, 5, 9]], np.float32)


def detections(**changes: object) -> Detections:
    fields = {
        "image": "photo", "width": 10, "height": 10, "boxes": BOXES, "scores": np.array([0.9, 0.5, 0.5], np.float32),
        "class_ids": np.array([1, 0, 1]), "class_names": ("cat", "dog"),
    }  # fmt: skip
    return Detections(**fields | changes)


def ground_truth(**changes: object) -> GroundTruth:
    fields = {"image": "photo", "width": 10, "height": 20, "boxes": BOXES, "class_ids": np.array([0, 7, 1])}
    return GroundTruth(**fields | {"ignored": np.zeros(3, np.bool_)} | changes)


def proposals(**changes: object) -> Proposals:
    fields = {"boxes": BOXES, "scores": np.array([3, 2, 1], np.float32), "sources": np.array(["a", "b", "a"])}
    return Proposals(**fields | changes)


def region_scores(**changes: object) -> RegionScores:
    return RegionScores(**{"boxes": BOXES, "probabilities": np.full((3, 2), 0.5, np.float32)} | changes)


ALL_WITH_BOXES = [detections, ground_truth, proposals, region_scores]


def test_image_knows_its_size():
    image = Image(np.zeros((4, 6, 3), np.uint8), "photo.jpg")
    assert (image.height, image.width, image.name) == (4, 6, "photo.jpg")


def test_pixels_may_be_any_view():
    """OpenCV's pixels[:, :, ::-1], which torch does not take."""
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    for view in (pixels[:, :, ::-1], pixels[::-1], pixels[:, ::2]):
        image = Image(view)
        assert np.array_equal(image.pixels, view)
        assert torch.from_numpy(image.pixels).shape == view.shape


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6, 3), np.float32),
        np.zeros((0, 6, 3), np.uint8), [[[0, 0, 0]]],
    ],
    ids=["grey", "four channels", "float", "no pixels", "list"],
)  # fmt: skip
def test_image_refuses_what_is_no_rgb_picture(pixels):
    with pytest.raises(ValueError, match=r"Image: expected .*, got "):
        Image(pixels)


@pytest.mark.parametrize("make", ALL_WITH_BOXES)
def test_length_is_the_number_of_boxes(make):
    assert len(make()) == 3


@pytest.mark.parametrize("make", ALL_WITH_BOXES)
@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        (BOXES.astype(np.float64), r"boxes to be a float32 array \[N, 4\], got ndarray float64 \[3, 4\]"),
        (BOXES[:, :3], r"got ndarray float32 \[3, 3\]"),
        (BOXES[0], r"got ndarray float32 \[4\]"),
        (BOXES.tolist(), "got list"),
        (BOXES * np.float32(np.nan), "finite boxes"),
        (np.where(BOXES == 9, np.float32(np.inf), BOXES), "finite boxes"),
        (BOXES[:, [2, 1, 0, 3]], "corners exchanged"),
        (BOXES[:, [0, 3, 2, 1]], "corners exchanged"),
    ],
    ids=["float64", "three columns", "one box", "list", "nan", "infinite", "x exchanged", "y exchanged"],
)
def test_bad_boxes_are_refused(make, boxes, expected):
    with pytest.raises(ValueError, match=expected) as caught:
        make(boxes=boxes)
    assert type(make()).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (detections, "scores", np.ones(2, np.float32)),
        (detections, "scores", np.ones(3, np.float64)),
        (detections, "scores", np.array([0.5, 1.1, 0.5], np.float32)),
        (detections, "scores", np.array([0.5, -0.1, 0.5], np.float32)),
        (detections, "scores", np.array([0.5, np.nan, 0.5], np.float32)),
        (detections, "class_ids", np.zeros(2, np.int64)),
        (detections, "class_ids", np.zeros(3, np.int32)),
        (detections, "class_ids", np.array([0, 1, 2])),
        (detections, "class_ids", np.array([0, 1, -1])),
        (ground_truth, "class_ids", np.zeros(4, np.int64)),
        (ground_truth, "ignored", np.zeros(3, np.int64)),
        (ground_truth, "ignored", np.zeros(2, np.bool_)),
        (proposals, "scores", np.ones(4, np.float32)),
        (proposals, "sources", np.array(["a", "b"])),
        (proposals, "sources", np.array([0, 1, 2])),
        (region_scores, "probabilities", np.zeros((2, 2), np.float32)),
        (region_scores, "probabilities", np.zeros(3, np.float32)),
        (region_scores, "probabilities", np.full((3, 2), 1.5, np.float32)),
        (region_scores, "probabilities", np.full((3, 2), np.nan, np.float32)),
    ],
)
def test_fields_that_do_not_fit_are_refused(make, field, value):
    with pytest.raises(ValueError, match=f"{type(make()).__name__}: expected .*, got "):
        make(**{field: value})


@pytest.mark.parametrize("make", ALL_WITH_BOXES)
def test_values_are_frozen(make):
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().boxes = BOXES


@pytest.mark.parametrize("make", [detections, proposals])
@pytest.mark.parametrize(
    ("index", "rows"),
    [(slice(2), [0, 1]), (np.array([True, False, True]), [0, 2]), (np.array([2, 0]), [2, 0]), (slice(0), [])],
    ids=["slice", "mask", "integers", "nothing"],
)
def test_index_selects_rows_of_every_array(make, index, rows):
    whole = make()
    part = whole[index]
    for field in dataclasses.fields(whole):
        before, after = getattr(whole, field.name), getattr(part, field.name)
        if isinstance(before, np.ndarray):
            assert after.dtype == before.dtype
            assert after.tolist() == [before.tolist()[row] for row in rows]
        else:
            assert after == before


def test_labels_are_the_class_names():
    assert detections().labels == ["dog", "cat", "dog"]


def test_rescaled_ground_truth_follows_the_file():
    half = ground_truth().rescaled(5, 40)
    assert (half.width, half.height) == (5, 40)
    assert half.boxes.dtype == np.float32
    assert half.boxes.tolist() == [[0, 0, 2, 6], [0.5, 2, 1, 4], [2.5, 10, 2.5, 18]]


def test_rescaling_to_the_same_size_changes_nothing():
    truth = ground_truth()
    assert truth.rescaled(10, 20).boxes is truth.boxes


def test_annotations_without_a_size_are_in_pixels_of_the_file():
    truth = ground_truth(width=0, height=0)
    assert truth.rescaled(10, 20).boxes is truth.boxes
    assert (truth.rescaled(10, 20).width, truth.rescaled(10, 20).height) == (10, 20)


def test_rescaled_detections_follow_the_annotation():
    found = detections()
    half = found.rescaled(found.width // 2, found.height * 2)
    assert half.boxes == pytest.approx(found.boxes * [0.5, 2, 0.5, 2])
    assert half.scores is found.scores
    assert found.rescaled(0, 0) is found


def test_detections_are_taken_one_by_one():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32)
    found = Detections("x.jpg", 9, 9, boxes, np.array([0.9, 0.5], np.float32), np.array([1, 0]), ("cat", "dog"))
    assert [(len(one), one.labels) for one in found] == [(1, ["dog"]), (1, ["cat"])]
    assert found[-1].scores.tolist() == [0.5]
    with pytest.raises(IndexError, match="detection 2 of 2"):
        found[2]
    assert [entry["image_id"] for entry in found.to_coco()] == ["x.jpg"] * 2
