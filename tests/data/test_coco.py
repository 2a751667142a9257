"""COCO's layout and its annotation document, whole and broken."""

import json

import pytest
from annotation_files import coco, write

from incdet.data.coco import read_coco, read_coco_folder
from incdet.data.readers import read_dataset
from incdet.errors import DataError


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


def test_the_folder_that_holds_the_photos_wins_over_one_that_does_not(tmp_path):
    images = [
        {"id": number, "file_name": name, "width": 20, "height": 10}
        for number, name in ((9, "train/9.jpg"), (7, "train/7.jpg"), (8, str(tmp_path / "elsewhere" / "8.jpg")))
    ]
    write(tmp_path / "annotations" / "instances_train.json", json.dumps(coco(images=images)))
    write(tmp_path / "train" / "9.jpg", "")
    paths = read_dataset("coco", tmp_path, "train").image_paths
    assert paths == (tmp_path / "train" / "9.jpg", tmp_path / "train" / "7.jpg", tmp_path / "elsewhere" / "8.jpg")


ENTRY = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "3", "{}", b"\xff\xfe", coco(categories=None), coco(images=[{"id": 7}]), coco(images=[]),
        coco(annotations={"a": 1}), coco(annotations=[{"image_id": 7}]), coco(annotations=[ENTRY | {"category_id": 4}]),
        coco(annotations=[ENTRY | {"bbox": [0, 0, 1]}]), coco(annotations=[ENTRY | {"bbox": [0, 0, True, 1]}]),
        coco(annotations=[ENTRY | {"bbox": "wide"}]), coco(annotations=[ENTRY | {"bbox": [0, 0, "1", 1]}]),
    ],
)  # fmt: skip
def test_malformed_coco_is_a_data_error_that_names_the_file(tmp_path, content):
    file = write(tmp_path / "mine.json", json.dumps(content) if isinstance(content, dict) else content)
    with pytest.raises(DataError, match=r"mine\.json"):
        read_coco(file, tmp_path, "mine")


@pytest.mark.parametrize(
    "categories",
    [[], [{"id": 3, "name": "dog"}, {"id": 3, "name": "car"}], [{"id": 18, "name": "car"}, {"id": 3, "name": "car"}]],
    ids=["none", "two with one id", "two with one name"],
)
def test_coco_categories_must_differ(tmp_path, categories):
    document = coco(categories=categories, annotations=[])
    with pytest.raises(DataError, match=r"mine\.json has"):
        read_coco(write(tmp_path / "mine.json", json.dumps(document)), tmp_path, "mine")
