"""What is found out about a training before torch is loaded."""

import shutil

import pytest
import torch
from weights_files import record

from incdet.config.loading import make_config
from incdet.errors import ConfigurationError, DataError
from incdet.networks.weights import save_weights
from incdet.runtime.reporter import Reporter
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.training_checks import check_multibox_training
from incdet.training.training_options import TrainingOptions


@pytest.fixture
def data(small_voc, tmp_path):
    shutil.copytree(small_voc, tmp_path / "voc")
    (tmp_path / "voc" / "ImageSets" / "Main" / "train.txt").write_text("first\nsecond\n")
    return tmp_path / "voc"


def check(data, **more):
    """Checks a training of MultiBox; returns what is said."""
    weights = data.parent / "initial.safetensors"
    if not weights.exists():
        save_weights(weights, {"classifier.bias": torch.zeros(3)}, record())
    values = {"data": {"root": str(data), "validation_images": 0}, "optimization": {"steps": 1}}
    values |= {"initial_weights": str(weights), "device": "cpu"} | more
    said = []
    options = TrainingOptions(reporter=Reporter(note=said.append))
    check_multibox_training(make_config(MultiBoxTrainingConfig, values, "test"), data.parent / "run", options)
    return said


def replace_in(file, old, new):
    file.write_text(file.read_text().replace(old, new))


def test_only_what_multibox_learns_is_counted(data):
    assert "2 photos to learn, which show 2 objects" in check(data)[-1]
    replace_in(data / "Annotations" / "second.xml", "cat", "dog")
    assert "1 photo to learn, which show 1 object " in check(data, left_out_classes=["dog"])[-1]
    with pytest.raises(DataError, match="no photo is left to train on"):
        check(data, left_out_classes=["dog", "cat"])


def test_photos_in_which_an_object_has_no_place_are_not_counted(data):
    replace_in(data / "Annotations" / "second.xml", "<ymin>1<", "<ymin>151<")
    said = check(data)[-1]
    assert "1 photo to learn, which show 1 object " in said, said


def test_a_data_set_without_objects_teaches_multibox_nothing(data):
    for name in ("first", "second"):
        replace_in(data / "Annotations" / f"{name}.xml", "<difficult>0", "<difficult>1")
    with pytest.raises(DataError, match="no object of its 2 photos is of its 20 classes"):
        check(data)


def test_a_missing_photo_is_told_before_multibox_starts(data):
    photo = data / "JPEGImages" / "second.jpg"
    # the training takes another photo in the place of a damaged one
    photo.write_bytes(b"no photo")
    check(data)
    photo.unlink()
    with pytest.raises(DataError, match="1 of 2 photos is missing"):
        check(data)


def test_a_training_does_not_replace_the_weights_that_it_starts_from(data):
    (data.parent / "run").mkdir()
    save_weights(data.parent / "run" / "weights.safetensors", {"x": torch.zeros(3)}, record())
    with pytest.raises(ConfigurationError, match="the weights that it starts from"):
        check(data, initial_weights=str(data.parent / "run"))


def test_weights_that_do_not_fit_are_told_before_the_data_is_read(data):
    save_weights(data.parent / "initial.safetensors", {"x": torch.zeros(3)}, record(architecture="wide"))
    with pytest.raises(ConfigurationError, match="'wide': they have 1,040 channels"):
        check(data, features="shared", loss={"matching": "overlap"})
