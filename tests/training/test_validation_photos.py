"""The photos that judge a network in training: a split of their own, or the same photos of every layout."""

import json
import shutil

import PIL.Image
import pytest
from annotation_files import write

from incdet.errors import DataError
from incdet.training.training_data import DataConfig, read_training_photos
from incdet.training.validation_photos import MAX_SPLIT_PHOTOS, split_validation

NAMES = ("d", "a", "k", "b", "m", "c", "z", "e")
"""Photos in the order in which lists and documents name them, which is not that of the alphabet."""

LAYOUTS = ("coco", "voc", "yolo")
XML = """<annotation><size><width>40</width><height>30</height></size><object><name>kitty</name>
<bndbox><xmin>5</xmin><ymin>7</ymin><xmax>20</xmax><ymax>25</ymax></bndbox></object></annotation>"""


def add_split(root, layout, split, names, classes=("kitty",)):
    """Adds photos of 40 x 30 pixels with one object each to a data set."""
    photos = root / {"coco": split, "voc": "JPEGImages", "yolo": f"images/{split}"}[layout]
    photos.mkdir(parents=True, exist_ok=True)
    for name in names:
        PIL.Image.new("RGB", (40, 30)).save(photos / f"{name}.jpg")
    if layout == "coco":
        numbered = list(enumerate(names))
        document = {
            "images": [{"id": i, "file_name": f"{name}.jpg", "width": 40, "height": 30} for i, name in numbered],
            "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 0, "bbox": [4, 6, 16, 19], "area": 304, "iscrowd": 0}
                for i, _ in numbered
            ],
        }
        write(root / "annotations" / f"instances_{split}.json", json.dumps(document))
    elif layout == "voc":
        write(root / "ImageSets" / "Main" / f"{split}.txt", "\n".join(names) + "\n")
        write(root / "classes.txt", "\n".join(classes) + "\n")
        for name in names:
            write(root / "Annotations" / f"{name}.xml", XML)
    else:
        write(root / "data.yaml", f"train: images/train\nval: images/val\nnames: [{', '.join(classes)}]\n")
        for name in names:
            write(root / "labels" / split / f"{name}.txt", "0 0.3 0.5 0.4 0.6\n")
    return root


def read(root, **more):
    """The photos of a training, and what is said about them."""
    said = []
    return read_training_photos(DataConfig(dataset="auto", root=str(root), **more), 0, said.append), said


def names_of(dataset):
    return sorted(truth.image for truth in dataset.ground_truths)


@pytest.mark.parametrize("wanted", [None, 3])
def test_the_same_photos_are_kept_out_of_training_in_every_layout(tmp_path, wanted):
    kept_out = []
    for layout in LAYOUTS:
        photos, _ = read(add_split(tmp_path / layout, layout, "train", NAMES), validation_images=wanted)
        learnt, validation = split_validation(photos.dataset, wanted, photos.validation)
        assert sorted(names_of(learnt) + names_of(validation)) == sorted(NAMES)
        kept_out.append(names_of(validation))
    assert kept_out == [["a"] if wanted is None else ["a", "e", "z"]] * 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_split_of_its_own_judges_the_network_unless_settings_say_otherwise(tmp_path, layout):
    root = add_split(add_split(tmp_path / layout, layout, "train", NAMES), layout, "val", ("p", "o", "n"))
    photos, said = read(root)
    assert (names_of(photos.validation), said) == (["n", "o", "p"], [])
    assert split_validation(photos.dataset, None, photos.validation)[0] is photos.dataset
    assert read(root, validation_images=2)[0].validation is None
    assert names_of(read(root, validation_split="val", validation_images=2)[0].validation) == ["n", "p"]
    # a training on val itself keeps some of its photos
    assert read(root, split="val")[0].validation is None
    with pytest.raises(DataError, match="split 'test'"):
        read(root, validation_split="test")


def test_a_split_that_cannot_judge_is_told_and_not_used(tmp_path):
    root = add_split(add_split(tmp_path / "coco", "coco", "train", NAMES), "coco", "val", ("p",), ("kitty", "hound"))
    photos, said = read(root)
    assert photos.validation is None
    assert len(said) == 1
    assert "photos of the split 'train' are kept for validation, because 'val' cannot be used" in said[0]
    assert "differ in their classes" in said[0]
    with pytest.raises(DataError, match="differ in their classes"):
        read(root, validation_split="val")


def test_photos_that_are_learnt_judge_nothing(tmp_path):
    """Some descriptions in YOLO's layout name the same folder twice."""
    root = add_split(tmp_path / "yolo", "yolo", "train", NAMES)
    write(root / "data.yaml", "train: images/train\nval: images/train\nnames: [kitty]\n")
    photos, said = read(root)
    assert photos.validation is None
    assert "have photos in common" in said[0]


def test_of_a_large_split_some_photos_judge(tmp_path):
    root = add_split(tmp_path / "yolo", "yolo", "train", NAMES)
    names = [f"n{number:03}" for number in range(MAX_SPLIT_PHOTOS + 20)]
    add_split(root, "yolo", "val", names[:1])
    for name in names[1:]:
        shutil.copy(root / "images" / "val" / f"{names[0]}.jpg", root / "images" / "val" / f"{name}.jpg")
    assert len(read(root)[0].validation) == MAX_SPLIT_PHOTOS
