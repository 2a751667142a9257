"""Annotation XML and image lists, whole and broken."""

import pytest
from annotation_files import write, xml

from incdet.data.xml_annotations import ILSVRC_BOXES, VOC_BOXES, read_annotation, read_image_list
from incdet.errors import DataError

CLASS_IDS = {"cat": 0, "dog": 1}


TWO_OBJECTS = [("cat", (1, 2, 10, 20), 0), ("dog", (5, 5, 5, 5), 1), ("unicorn", (1, 1, 2, 2), 0)]


@pytest.mark.parametrize(
    ("convention", "boxes"),
    [(VOC_BOXES, [[0, 1, 10, 20], [4, 4, 5, 5]]), (ILSVRC_BOXES, [[1, 2, 11, 21], [5, 5, 6, 6]])],
    ids=["VOC is 1-based inclusive", "ILSVRC is 0-based inclusive"],
)
def test_xml_boxes_become_half_open_and_0_based(tmp_path, convention, boxes):
    truth = read_annotation(write(tmp_path / "photo.xml", xml(TWO_OBJECTS)), CLASS_IDS, convention)
    assert (truth.image, truth.width, truth.height) == ("photo", 40, 30)
    assert truth.boxes.tolist() == boxes
    assert truth.class_ids.tolist() == [0, 1]
    assert truth.ignored.tolist() == [False, True]


def test_annotation_without_objects(tmp_path):
    truth = read_annotation(write(tmp_path / "empty.xml", xml([])), CLASS_IDS, VOC_BOXES)
    assert truth.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "text",
    [
        "", "not XML", xml(TWO_OBJECTS)[:-30], "<annotation/>", xml([], width=""), xml([], width="wide"),
        xml([], width="nan"), xml([], height="inf"), xml([("cat", (9, 1, 2, 5), "maybe")]),
        xml([("cat", (1, "x", 2, 5), 0)]),
        xml([], width=-4), xml([], height="1e30"),
        "<annotation><size><width>4</width><height>3</height></size><object><name>cat</name></object></annotation>",
    ],
    ids=[
        "empty", "not XML", "truncated", "no size", "no width", "width is a word", "width is nan", "height is inf",
        "unknown flag", "corner is a word", "width below 0", "height of no photo", "no box",
    ],
)  # fmt: skip
def test_malformed_annotation_is_a_data_error_that_names_the_file(tmp_path, text):
    file = write(tmp_path / "photo.xml", text)
    with pytest.raises(DataError, match=r"photo\.xml"):
        read_annotation(file, CLASS_IDS, VOC_BOXES)


def test_image_names_are_the_first_words(tmp_path):
    assert read_image_list(write(tmp_path / "val.txt", "b 1\n\n a -1\r\nc")) == [("b", 1), ("a", None), ("c", None)]


@pytest.mark.parametrize("content", [None, "", "\n \n", b"\xff\xfe\x00"], ids=["missing", "empty", "blank", "binary"])
def test_unusable_image_list_is_a_data_error(tmp_path, content):
    if content is not None:
        write(tmp_path / "val.txt", content)
    with pytest.raises(DataError, match=r"val\.txt"):
        read_image_list(tmp_path / "val.txt")
