"""What is checked of the photos of a training, and what is said about them."""

from dataclasses import replace

import numpy as np
import pytest
from command_line import require_parsing

from incdet.data.readers import read_dataset
from incdet.errors import DataError
from incdet.training.data_checks import check_objects, check_photos, choose_learnt, describe_photos
from incdet.training.next_steps import classifier_commands, multibox_commands, region_commands
from incdet.training.training_data import DataConfig, PhotosOfTraining


@pytest.fixture
def photos(small_voc):
    return read_dataset("voc", small_voc, "val")


def test_whole_photos_pass(photos):
    check_photos(photos)


def test_missing_and_damaged_photos_are_counted_and_one_is_named(photos, tmp_path):
    gone = tmp_path / "gone.jpg"
    with pytest.raises(DataError, match=r"1 of \d+ photos is missing, such as .*gone\.jpg"):
        check_photos(replace(photos, image_paths=(gone, *photos.image_paths[1:])))
    gone.write_text("no photo")
    with pytest.raises(
        DataError, match=r"1 of \d+ photos is unreadable; .*gone\.jpg: it is not an image of a known format"
    ):
        check_photos(replace(photos, image_paths=(gone, *photos.image_paths[1:])))


def test_classes_without_objects_are_told_and_no_objects_at_all_are_refused(photos):
    said = []
    check_objects(photos, said.append)
    assert len(said) == 1
    assert "of 20 classes have no objects" in said[0]
    ignored = [replace(truth, ignored=np.ones(len(truth), bool)) for truth in photos.ground_truths]
    with pytest.raises(DataError, match=r"no object of its .* photos is of its 20 classes"):
        check_objects(replace(photos, ground_truths=tuple(ignored)), said.append)


def test_what_is_learnt_is_said(photos):
    four = photos.subset([0, 1, 0, 1])
    sentence = describe_photos(*choose_learnt(PhotosOfTraining(four), DataConfig(root="here")), is_kept_out=True)
    assert "3 photos to learn, which show 3 objects of 20 classes (cat 3, aeroplane 0, " in sentence
    assert sentence.endswith("; 1 other photo for validation, kept out of the same split (data.validation_images)")
    sentence = describe_photos(
        *choose_learnt(PhotosOfTraining(four), DataConfig(root="here", validation_images=0)), is_kept_out=True
    )
    assert "4 photos to learn, which show 4 objects" in sentence
    sentence = describe_photos(
        *choose_learnt(PhotosOfTraining(four, None, photos), DataConfig(root="here")), is_kept_out=False
    )
    assert sentence.endswith(f"; 2 other photos for validation, of {photos.name} (data.validation_split)")


def test_commands_for_the_result(small_voc, tmp_path):
    weights = [tmp_path / "my run" / "weights.safetensors"]
    quoted = f"'{weights[0]}'"
    learnt_val = DataConfig(dataset="auto", root=str(small_voc), split="val")
    assert region_commands(weights, learnt_val) == [f"incdet detect photo.jpg --weights {quoted}"]
    other = DataConfig(dataset="auto", root=str(small_voc), split="train")
    detect, evaluate = region_commands(weights * 2, other)
    assert detect.count("--weights") == 2
    assert evaluate.startswith("incdet evaluate --dataset voc --root ")
    assert evaluate.endswith(f"--output '{tmp_path}/my run/evaluation'")
    for command in (detect, evaluate, multibox_commands(weights[0])[0], classifier_commands(weights[0])[0]):
        require_parsing(command)
    assert multibox_commands(weights[0])[0].endswith(f"--set 'proposals.multibox.weights={weights[0]}'")
    assert classifier_commands(weights[0]) == [f"incdet classify photo.jpg --weights {quoted}"]
