"""The photos of a training: ILSVRC's val1 with some of train, without what is blacklisted."""

import numpy as np
import pytest
from annotation_files import write

from incdet.data.ilsvrc import read_ilsvrc
from incdet.errors import DataError
from incdet.training.training_data import DataConfig, limit_objects_per_class, read_training_photos
from incdet.training.validation_photos import split_validation


def annotation(*class_ids):
    """A photo of 40 x 30 pixels with an object of every class id."""
    corners = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
    objects = "".join(f"<object><name>{class_id}</name>{corners}</object>" for class_id in class_ids)
    return f"<annotation><size><width>40</width><height>30</height></size>{objects}</annotation>"


@pytest.fixture
def root(tmp_path):
    """Five photos of val with a cat each, the second one blacklisted for cats, and four of train with 1, 2, 3 and 4
    dogs and a cat.
    """
    devkit, lists = tmp_path / "devkit" / "data", tmp_path / "ImageSets" / "DET"
    annotations = tmp_path / "Annotations" / "DET"
    write(devkit / "map_det.txt", "n1 1 cat\nn2 2 polar bear\nn3 3 dog\n")
    write(devkit / "ILSVRC2014_det_validation_blacklist.txt", "2 n1\n")
    val = ("v_90", "v_20", "v_70", "v_40", "v_10")
    write(lists / "val.txt", "".join(f"{name} {number}\n" for number, name in enumerate(val, 1)))
    for name in val:
        write(annotations / "val" / f"{name}.xml", annotation("n1"))
    train = [f"ILSVRC2013_train/n3/t_{number}" for number in range(1, 5)]
    write(lists / "train.txt", "".join(f"{name} {number}\n" for number, name in enumerate(train, 1)))
    for num_dogs, name in enumerate(train, 1):
        write(annotations / "train" / f"{name}.xml", annotation(*["n3"] * num_dogs, "n1"))
    return tmp_path


def counts(dataset):
    """Objects of each class that are not ignored."""
    classes = np.concatenate([truth.class_ids[~truth.ignored] for truth in dataset.ground_truths])
    return np.bincount(classes, minlength=3).tolist()


def test_val_without_blacklisted_photos_and_some_objects_of_train(root):
    config = DataConfig(dataset="ilsvrc", root=str(root), split="val", extra_split="train", extra_boxes_per_class=3)
    dataset, extra, _ = read_training_photos(config, seed=1)
    assert [truth.image for truth in dataset.ground_truths] == ["v_90", "v_70", "v_40", "v_10"]
    assert counts(extra) == [3, 0, 3]
    joined = dataset.joined(extra)
    assert len(joined) == len(dataset) + len(extra)
    assert joined.image_paths[-1].name == "t_4.JPEG"
    assert counts(joined) == [7, 0, 3]


def test_someone_must_be_left_to_train_on(root):
    dataset, *_ = read_training_photos(DataConfig(dataset="ilsvrc", root=str(root), split="val"), seed=1)
    assert [len(part) for part in split_validation(dataset, None)] == [3, 1]
    assert [len(part) for part in split_validation(dataset.subset([0]), None)] == [1, 0]
    for number in (len(dataset), 32):
        with pytest.raises(DataError, match="validation_images keeps"):
            split_validation(dataset, number)


def test_no_extra_split_no_extra_photos(root):
    _, extra, _ = read_training_photos(DataConfig(dataset="ilsvrc", root=str(root), split="val"), seed=1)
    assert extra is None


def test_objects_are_drawn_by_the_seed_and_the_others_ignored(root):
    train = read_ilsvrc(root, "train")
    assert counts(train) == [4, 0, 10]
    assert counts(limit_objects_per_class(train, 100, 0)) == [4, 0, 10]
    chosen = [limit_objects_per_class(train, 1, seed) for seed in range(20)]
    for dataset in chosen:
        assert counts(dataset) == [1, 0, 1]
        assert len(dataset) <= 2
        assert all(len(truth) == int(truth.image[-1]) + 1 for truth in dataset.ground_truths)
    drawn = {tuple(truth.image for truth in dataset.ground_truths) for dataset in chosen}
    assert len(drawn) > 4
    again = limit_objects_per_class(train, 1, 3)
    assert [truth.image for truth in again.ground_truths] == [truth.image for truth in chosen[3].ground_truths]
