"""Crops of photos with the objects in them, as MultiBox sees them."""

import numpy as np
import pytest

from incdet.structures import GroundTruth, Image
from incdet.training.samples.box_samples import BoxSamplingConfig, box_sample, visible_objects
from incdet.training.samples.distortions import DistortionsConfig


def test_objects_count_where_their_centre_and_half_of_them_are_visible():
    boxes = np.array([
        [10, 10, 30, 30],  # whole
        [-10, 0, 20, 20],  # two thirds
        [-12, 0, 8, 20],  # centre outside
        [40, 40, 90, 90],  # centre inside, a quarter visible
        [60, 10, 80, 20],  # elsewhere
    ], np.float32) + 100  # fmt: skip
    found = visible_objects(boxes, (100, 100, 150, 170), 0.5)
    assert found.tolist() == [[10, 10, 30, 30], [0, 0, 20, 20]]
    assert len(visible_objects(boxes, (100, 100, 150, 170), 0.0)) == 2
    assert visible_objects(boxes[:0], (0, 0, 5, 5), 0.5).shape == (0, 4)
    flat = np.array([[110, 110, 110, 120]], np.float32)
    assert visible_objects(flat, (100, 100, 150, 150), 0.0).shape == (0, 4)


def plain(**changes):
    nothing = {"photometric": 0.0, "noise": 0.0, "flip_probability": 0.0}
    nothing |= {"interpolations": ("nearest",), "area": (0.3, 1.0)}
    return BoxSamplingConfig(distortions=DistortionsConfig(**(nothing | changes)), whole_photo_share=0.0)


def marked_photo():
    """A photo that is white inside its only object and black elsewhere."""
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[60:120, 90:170] = 255
    box = np.array([[90, 60, 170, 120]], np.float32)
    return Image(pixels), GroundTruth("marked", 300, 200, box, np.zeros(1, np.int64), np.zeros(1, bool))


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_boxes_follow_their_objects_through_crop_and_mirror(mirror):
    image, truth = marked_photo()
    seen = 0
    for seed in range(40):
        crop, _, boxes = box_sample(image, truth, 256, plain(flip_probability=mirror), np.random.default_rng(seed))
        for box in boxes:
            seen += 1
            rows, columns = np.nonzero(crop[:, :, 0])
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(np.array(found) / 256 - box).max() < 0.02
    assert seen > 20


def test_whole_photos_are_resized_to_a_square_as_in_inference():
    image, truth = marked_photo()
    config = BoxSamplingConfig(whole_photo_share=1.0, distortions=plain().distortions)
    _, _, boxes = box_sample(image, truth, 64, config, np.random.default_rng(0))
    assert boxes.tolist() == [pytest.approx([0.3, 0.3, 170 / 300, 0.6])]


def test_ignored_objects_are_not_learnt():
    image, truth = marked_photo()
    ignored = GroundTruth("marked", 300, 200, truth.boxes, truth.class_ids, np.ones(1, bool))
    assert len(box_sample(image, ignored, 64, plain(), np.random.default_rng(0))[2]) == 0
