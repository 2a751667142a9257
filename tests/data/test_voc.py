"""PASCAL VOC's layout: VOC's own data and the user's."""

import numpy as np
import PIL.Image
import pytest
from annotation_files import write, xml

from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.data.voc import VOC_CLASSES, read_voc
from incdet.errors import DataError


def test_voc_layout(tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "b\na\n")
    for name in "ab":
        write(tmp_path / "Annotations" / f"{name}.xml", xml([("sheep", (1, 1, 4, 4), 0)]))
    dataset = read_dataset("voc", tmp_path, "val")
    assert dataset.image_paths == (tmp_path / "JPEGImages" / "b.jpg", tmp_path / "JPEGImages" / "a.jpg")
    assert [truth.image for _, truth in dataset] == ["b", "a"]
    assert dataset.ground_truths[0].class_ids.tolist() == [VOC_CLASSES.index("sheep")]
    assert [truth.image for truth in dataset.subset([1]).ground_truths] == ["a"]


def test_missing_annotation_is_a_data_error_that_names_the_file(tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "gone\n")
    with pytest.raises(DataError, match=r"gone\.xml"):
        read_voc(tmp_path, "val")


def test_own_classes_and_objects_of_unknown_ones(tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "a\n")
    objects = [(name, (1, 1, 4, 4), 0) for name in ("sheep", "polar bear", "lama", "lama")]
    write(tmp_path / "Annotations" / "a.xml", xml(objects))
    said = []
    assert len(read_dataset("voc", tmp_path, "val", warn=said.append).ground_truths[0]) == 1
    first = tmp_path / "Annotations" / "a.xml"
    left_out = "left out: 3 objects of 2 classes that PASCAL VOC lacks (lama, polar bear)"
    assert said == [f"{left_out}; the first of split 'val' is in {first}"]
    write(tmp_path / "classes.txt", "lama\n\n polar bear \nsheep\n")
    own = read_dataset("voc", tmp_path, "val", warn=said.append)
    assert own.class_names == ("lama", "polar bear", "sheep")
    assert own.ground_truths[0].class_ids.tolist() == [2, 1, 0, 0]
    assert len(said) == 1
    for content in ("", "lama\nlama\n"):
        write(tmp_path / "classes.txt", content)
        with pytest.raises(DataError, match=r"classes\.txt is empty or names a class twice"):
            read_dataset("voc", tmp_path, "val")


def test_a_misspelt_class_names_its_file_and_the_class_that_was_meant(tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "a\nb\n")
    write(tmp_path / "classes.txt", "kitty\nhound\n")
    write(tmp_path / "Annotations" / "a.xml", xml([("kitty", (1, 1, 4, 4), 0)]))
    write(tmp_path / "Annotations" / "b.xml", xml([("kity", (1, 1, 4, 4), 0)]))
    said = []
    read_voc(tmp_path, "val", said.append)
    first = tmp_path / "Annotations" / "b.xml"
    assert said[0].endswith(f"(kity); the first of split 'val' is in {first}; did you mean 'kitty' for 'kity'?")


@pytest.mark.parametrize(("split", "photos", "boxes"), [("train", 3482, 7606), ("val", 300, 661)])
def test_real_voc(shared_folder, split, photos, boxes):
    dataset = read_voc(shared_folder / "data" / "voc2012-subset", split)
    assert (len(dataset), sum(len(truth) for _, truth in dataset)) == (photos, boxes)
    assert all(path.is_file() for path in dataset.image_paths)


def test_real_voc_boxes_lie_inside_their_photos(shared_folder):
    dataset: Dataset = read_voc(shared_folder / "data" / "voc2012-subset", "val").subset(list(range(0, 300, 5)))
    for path, truth in dataset:
        with PIL.Image.open(path) as photo:
            assert photo.size == (truth.width, truth.height)
        assert truth.boxes.min() >= -1
        assert (truth.boxes[:, 2:] <= np.array([truth.width, truth.height]) + 1).all()
