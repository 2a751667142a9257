import json
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import PIL.Image
import pytest

from incdet.data.coco import read_coco, read_coco_folder
from incdet.data.dataset import Dataset
from incdet.data.ilsvrc import read_class_map, read_ilsvrc
from incdet.data.imagenet import read_synset_words
from incdet.data.readers import read_dataset
from incdet.data.voc import VOC_CLASSES, read_voc
from incdet.data.xml_annotations import ILSVRC_BOXES, VOC_BOXES, read_annotation, read_image_list
from incdet.errors import DataError

CLASS_IDS = {"cat": 0, "dog": 1}
TWO_OBJECTS = [("cat", (1, 2, 10, 20), 0), ("dog", (5, 5, 5, 5), 1), ("unicorn", (1, 1, 2, 2), 0)]


def write(file: Path, text: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def xml(objects: list, width: object = 40, height: object = 30) -> str:
    parts = [f"<size><width>{width}</width><height>{height}</height></size>"]
    for name, box, difficult in objects:
        corners = "".join(f"<{key}>{v}</{key}>" for key, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        parts.append(f"<object><name>{escape(name)}</name><difficult>{difficult}</difficult>")
        parts.append(f"<part><name>head</name><bndbox>{corners}</bndbox></part><bndbox>{corners}</bndbox></object>")
    return f"<annotation>{''.join(parts)}</annotation>"


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
        xml([], width="nan"), xml([], height="inf"), xml([("cat", (9, 1, 2, 5), 0)]), xml([("cat", (1, "x", 2, 5), 0)]),
        xml([("cat", (1, 2, "nan", 5), 0)]), xml([("cat", (1, 2, "inf", 5), 0)]),
        "<annotation><size><width>4</width><height>3</height></size><object><name>cat</name></object></annotation>",
    ],
    ids=[
        "empty", "not XML", "truncated", "no size", "no width", "width is a word", "width is nan", "height is inf",
        "corners exchanged", "corner is a word", "corner is nan", "corner is inf", "no box",
    ],
)  # fmt: skip
def test_malformed_annotation_is_a_data_error_that_names_the_file(tmp_path, text):
    file = write(tmp_path / "photo.xml", text)
    with pytest.raises(DataError, match=r"photo\.xml"):
        read_annotation(file, CLASS_IDS, VOC_BOXES)


def test_missing_annotation_is_a_data_error_that_names_the_file(tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "gone\n")
    with pytest.raises(DataError, match=r"gone\.xml"):
        read_voc(tmp_path, "val")


def test_image_names_are_the_first_words(tmp_path):
    assert read_image_list(write(tmp_path / "val.txt", "b 1\n\n a -1\r\nc")) == [("b", 1), ("a", None), ("c", None)]


@pytest.mark.parametrize("content", [None, "", "\n \n", b"\xff\xfe\x00"], ids=["missing", "empty", "blank", "binary"])
def test_unusable_image_list_is_a_data_error(tmp_path, content):
    if content is not None:
        write(tmp_path / "val.txt", content)
    with pytest.raises(DataError, match=r"val\.txt"):
        read_image_list(tmp_path / "val.txt")


def test_voc_layout(tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "b\na\n")
    for name in "ab":
        write(tmp_path / "Annotations" / f"{name}.xml", xml([("sheep", (1, 1, 4, 4), 0)]))
    dataset = read_dataset("voc", tmp_path, "val")
    assert dataset.image_paths == (tmp_path / "JPEGImages" / "b.jpg", tmp_path / "JPEGImages" / "a.jpg")
    assert [truth.image for _, truth in dataset] == ["b", "a"]
    assert dataset.ground_truths[0].class_ids.tolist() == [VOC_CLASSES.index("sheep")]
    assert [truth.image for truth in dataset.subset([1]).ground_truths] == ["a"]


def test_own_classes_and_objects_of_unknown_ones(tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "a\n")
    objects = [(name, (1, 1, 4, 4), 0) for name in ("sheep", "polar bear", "lama", "lama")]
    write(tmp_path / "Annotations" / "a.xml", xml(objects))
    said = []
    assert len(read_dataset("voc", tmp_path, "val", warn=said.append).ground_truths[0]) == 1
    assert said == ["3 objects of 2 classes that PASCAL VOC lacks (lama, polar bear) do not count"]
    write(tmp_path / "classes.txt", "lama\n\n polar bear \nsheep\n")
    own = read_dataset("voc", tmp_path, "val", warn=said.append)
    assert own.class_names == ("lama", "polar bear", "sheep")
    assert own.ground_truths[0].class_ids.tolist() == [2, 1, 0, 0]
    assert len(said) == 1
    for content in ("", "lama\nlama\n"):
        write(tmp_path / "classes.txt", content)
        with pytest.raises(DataError, match=r"classes\.txt is empty or names a class twice"):
            read_dataset("voc", tmp_path, "val")


def test_two_photos_of_one_name_are_refused(tmp_path):
    images = [{"id": number, "file_name": f"{number}/x.jpg", "width": 20, "height": 10} for number in (7, 9)]
    write(tmp_path / "annotations" / "instances_val.json", json.dumps(coco(images=images)))
    with pytest.raises(DataError, match=r"7/x\.jpg and .*9/x\.jpg"):
        read_dataset("coco", tmp_path, "val")


@pytest.mark.parametrize("folder", ["Annotations/DET/val", "ILSVRC2013_DET_bbox_val", "ILSVRC2014_DET_bbox_val"])
def test_ilsvrc_layout(tmp_path, folder):
    write(tmp_path / "devkit" / "data" / "map_det.txt", "n1 1 cat\nn2 2 polar bear\n")
    write(tmp_path / "ImageSets" / "DET" / "val2.txt", "x 1\n")
    write(tmp_path / folder / "x.xml", xml([("n2", (0, 0, 3, 4), 0)]))
    dataset = read_dataset("ilsvrc", tmp_path, "val2")
    assert dataset.class_names == ("cat", "polar bear")
    assert dataset.image_paths == (tmp_path / "Data" / "DET" / "val" / "x.JPEG",)
    assert dataset.ground_truths[0].class_ids.tolist() == [1]
    assert dataset.ground_truths[0].boxes.tolist() == [[0, 0, 4, 5]]


@pytest.mark.parametrize("content", [None, "", "n1 2 cat\n", "n1 1\n", "n1 1 cat\nn2 3 dog\n", b"n1 1 caf\xe9\n"])
def test_unusable_class_map_is_a_data_error(tmp_path, content):
    if content is not None:
        write(tmp_path / "map_det.txt", content)
    with pytest.raises(DataError, match=r"map_det\.txt"):
        read_class_map(tmp_path / "map_det.txt")


def test_synset_words(tmp_path):
    file = write(tmp_path / "words.txt", "n01 tench, Tinca\nn02 goldfish\n")
    assert read_synset_words(file) == [("n01", "tench, Tinca"), ("n02", "goldfish")]
    for content in ("n01\n", "cat n01\n", b"n01 caf\xe9\n"):
        with pytest.raises(DataError, match=r"words\.txt"):
            read_synset_words(write(file, content))


def coco(**changes: object) -> dict:
    annotations = [
        {"image_id": 7, "category_id": 18, "bbox": [1.5, 2, 3, 4], "iscrowd": 0},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 2, 1], "iscrowd": 1},
        {"image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]},
    ]
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 20, "height": 10} for number in (9, 7, 8)]
    categories = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]
    return {"images": images, "annotations": annotations, "categories": categories} | changes


def test_coco(tmp_path):
    write(tmp_path / "annotations" / "instances_val.json", json.dumps(coco()))
    dataset = read_coco_folder(tmp_path, "val")
    assert dataset.class_names == ("dog", "car")
    assert [path.name for path in dataset.image_paths] == ["9.jpg", "7.jpg", "8.jpg"]
    second, third = dataset.ground_truths[1:]
    assert (second.image, second.width, second.height, len(third)) == ("7", 20, 10, 0)
    assert second.boxes.tolist() == [[1.5, 2, 4.5, 6], [0, 0, 2, 1]]
    assert second.class_ids.tolist() == [0, 1]
    assert second.ignored.tolist() == [False, True]


@pytest.mark.parametrize("folder", ["val", "images/val", "images"])
def test_coco_photo_folders(tmp_path, folder):
    write(tmp_path / "annotations" / "instances_val.json", json.dumps(coco()))
    (tmp_path / folder).mkdir(parents=True)
    assert read_dataset("coco", tmp_path, "val").image_paths[0] == tmp_path / folder / "9.jpg"


ENTRY = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "3", "{}", b"\xff\xfe", coco(categories=None), coco(images=[{"id": 7}]),
        coco(annotations={"a": 1}), coco(annotations=[{"image_id": 7}]), coco(annotations=[ENTRY | {"category_id": 4}]),
        coco(annotations=[ENTRY | {"bbox": [0, 0, 1]}]), coco(annotations=[ENTRY | {"bbox": [0, 0, -1, 1]}]),
        coco(annotations=[ENTRY | {"bbox": "wide"}]), coco(annotations=[ENTRY | {"bbox": [0, 0, float("nan"), 1]}]),
    ],
)  # fmt: skip
def test_malformed_coco_is_a_data_error_that_names_the_file(tmp_path, content):
    file = write(tmp_path / "mine.json", json.dumps(content) if isinstance(content, dict) else content)
    with pytest.raises(DataError, match=r"mine\.json"):
        read_coco(file, tmp_path, "mine")


@pytest.mark.parametrize("collection", ["voc", "coco", "ilsvrc"])
def test_missing_and_empty_folders_are_data_errors(tmp_path, collection):
    for root in (tmp_path / "gone", tmp_path):
        with pytest.raises(DataError, match=root.name):
            read_dataset(collection, root, "val")


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


def test_real_ilsvrc(shared_folder):
    dataset = read_ilsvrc(shared_folder / "data" / "ilsvrc-det", "val2")
    assert (len(dataset), len(dataset.class_names)) == (9917, 200)
    assert sum(len(truth) for _, truth in dataset) == 26782
    assert (dataset.class_names[0], dataset.class_names[-1]) == ("accordion", "zebra")


@pytest.mark.parametrize(
    "categories",
    [[], [{"id": 3, "name": "dog"}, {"id": 3, "name": "car"}], [{"id": 18, "name": "car"}, {"id": 3, "name": "car"}]],
    ids=["none", "two with one id", "two with one name"],
)
def test_coco_categories_must_differ(tmp_path, categories):
    document = coco(categories=categories, annotations=[])
    with pytest.raises(DataError, match=r"mine\.json has"):
        read_coco(write(tmp_path / "mine.json", json.dumps(document)), tmp_path, "mine")
