"""Layouts told by files, and the same objects read from all of them."""

import json

import numpy as np
import PIL.Image
import pytest
from annotation_files import write, xml

from incdet.data.layouts import find_layout
from incdet.data.readers import read_dataset
from incdet.errors import DataError

CLASSES = ("hound", "kitty")
SIZE = 64, 48
OBJECTS = {
    "train": {"a": [("kitty", (3, 4, 60, 40))], "b": [("hound", (0, 0, 64, 48)), ("kitty", (10, 11, 12, 13))]},
    "val": {"c": [("hound", (5, 6, 7, 8))], "d": []},
}
"""Objects by split and photo: class and box, xyxy half-open pixels from 0."""


def photo(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", SIZE).save(file)


def coco_document(photos, first_category):
    categories = [{"id": number, "name": name, "supercategory": "pets"} for number, name in enumerate(CLASSES, 1)]
    images, annotations = [], []
    for number, (name, objects) in enumerate(photos.items()):
        images.append({"id": number, "file_name": f"{name}.jpg", "width": SIZE[0], "height": SIZE[1]})
        for kind, (x1, y1, x2, y2) in objects:
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append({"image_id": number, "category_id": CLASSES.index(kind) + 1, "bbox": box})
    return json.dumps({"images": images, "annotations": annotations, "categories": first_category + categories})


def voc_text(objects):
    # VOC counts from 1, and the last pixel belongs to the box
    return xml([(kind, (x1 + 1, y1 + 1, x2, y2), 0) for kind, (x1, y1, x2, y2) in objects], *SIZE)


def yolo_text(objects):
    lines = []
    for kind, (x1, y1, x2, y2) in objects:
        shares = (x1 + x2) / 2 / SIZE[0], (y1 + y2) / 2 / SIZE[1], (x2 - x1) / SIZE[0], (y2 - y1) / SIZE[1]
        lines.append(f"{CLASSES.index(kind)} " + " ".join(f"{share:.6f}" for share in shares))
    return "\n".join(lines)


def make_coco(root, split, photos):
    write(root / "annotations" / f"instances_{split}.json", coco_document(photos, []))
    for name in photos:
        photo(root / "images" / split / f"{name}.jpg")


def make_roboflow_coco(root, split, photos):
    folder = root / {"val": "valid"}.get(split, split)
    above_all = [{"id": 0, "name": "pets", "supercategory": "none"}]
    write(folder / "_annotations.coco.json", coco_document(photos, above_all))
    for name in photos:
        photo(folder / f"{name}.jpg")


def make_voc(root, split, photos):
    write(root / "classes.txt", "\n".join(CLASSES))
    write(root / "ImageSets" / "Main" / f"{split}.txt", "\n".join(photos))
    for name, objects in photos.items():
        write(root / "Annotations" / f"{name}.xml", voc_text(objects))
        photo(root / "JPEGImages" / f"{name}.png")


def make_roboflow_voc(root, split, photos):
    folder = root / {"val": "valid"}.get(split, split)
    for name, objects in photos.items():
        write(folder / f"{name}.xml", voc_text(objects))
        photo(folder / f"{name}.jpg")


def make_yolo(root, split, photos):
    write(root / "data.yaml", f"path: .\ntrain: images/train\nval: images/val\nnames: [{', '.join(CLASSES)}]\n")
    for name, objects in photos.items():
        write(root / "labels" / split / f"{name}.txt", yolo_text(objects))
        photo(root / "images" / split / f"{name}.jpg")


def make_roboflow_yolo(root, split, photos):
    write(root / "data.yaml", f"train: ../train/images\nval: ../valid/images\nnc: 2\nnames: {list(CLASSES)}\n")
    folder = root / {"val": "valid"}.get(split, split)
    for name, objects in photos.items():
        write(folder / "labels" / f"{name}.txt", yolo_text(objects))
        photo(folder / "images" / f"{name}.jpg")


MAKERS = {
    "coco": [make_coco, make_roboflow_coco],
    "voc": [make_voc, make_roboflow_voc],
    "yolo": [make_yolo, make_roboflow_yolo],
}


@pytest.mark.parametrize(
    ("layout", "make"),
    [pytest.param(layout, make, id=make.__name__) for layout, makers in MAKERS.items() for make in makers],
)
def test_all_layouts_give_the_same_objects(tmp_path, layout, make):
    for split, photos in OBJECTS.items():
        make(tmp_path, split, photos)
    assert find_layout(tmp_path) == layout
    said = []
    for split, photos in OBJECTS.items():
        dataset = read_dataset(find_layout(tmp_path), tmp_path, split, warn=said.append)
        assert dataset.class_names == CLASSES
        assert all(path.is_file() for path in dataset.image_paths)
        assert [truth.image for truth in dataset.ground_truths] == list(photos)
        for truth, objects in zip(dataset.ground_truths, photos.values(), strict=True):
            assert (truth.width, truth.height) == SIZE
            assert [CLASSES[class_id] for class_id in truth.class_ids] == [kind for kind, _ in objects]
            boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
            # six decimals of a share of 64 pixels
            assert truth.boxes == pytest.approx(boxes, abs=1e-4)
            assert not truth.ignored.any()
    assert said == []
    with pytest.raises(DataError, match=r"split 'test' .*splits found: train, val"):
        read_dataset(layout, tmp_path, "test")


def test_a_folder_of_no_layout_of_two_and_no_folder(tmp_path):
    with pytest.raises(DataError, match="cannot tell the layout"):
        find_layout(tmp_path)
    make_coco(tmp_path, "train", OBJECTS["train"])
    make_voc(tmp_path, "train", OBJECTS["train"])
    with pytest.raises(DataError, match=r"voc and coco.*data\.dataset"):
        find_layout(tmp_path)
    with pytest.raises(DataError, match="it is a file"):
        find_layout(tmp_path / "classes.txt")
    with pytest.raises(DataError, match="no such folder"):
        find_layout(tmp_path / "gone")


def test_the_folder_above_data_sets_and_one_within_name_the_right_one(tmp_path):
    for folder, make in (("b", make_coco), ("c", make_voc), ("d", make_roboflow_coco)):
        make(tmp_path / folder, "train", OBJECTS["train"])
    with pytest.raises(
        DataError, match=r"cannot tell the layout .*; data sets seem to lie in its folders b, c, d: give"
    ):
        find_layout(tmp_path)
    for inner in ("b/images", "c/JPEGImages", "d/train"):
        above = tmp_path / inner[0]
        with pytest.raises(DataError, match=f"the folder above looks like a data set: give {above}$"):
            find_layout(tmp_path / inner)
    # the folder labels of a data set in YOLO's layout makes the folder above look like another form of it
    make_yolo(tmp_path / "a", "train", OBJECTS["train"])
    with pytest.raises(DataError, match=r"has the folder a/labels, as in YOLO's layout, .*its folders a, b, c, \.\.\."):
        read_dataset(find_layout(tmp_path), tmp_path, "train")


def test_yolo_without_classes_says_what_to_write(tmp_path):
    make_roboflow_yolo(tmp_path, "train", OBJECTS["train"])
    (tmp_path / "data.yaml").unlink()
    advice = rf"has the folder train/labels, .*; write the classes into {tmp_path}/classes\.txt, one a line"
    with pytest.raises(DataError, match=advice):
        read_dataset("yolo", tmp_path, "train")


def test_described_splits_that_are_not_there_are_not_found(tmp_path):
    make_roboflow_yolo(tmp_path, "train", OBJECTS["train"])
    make_roboflow_yolo(tmp_path, "val", OBJECTS["val"])
    with (tmp_path / "data.yaml").open("a") as file:
        file.write("test: ../test/images\n")
    with pytest.raises(DataError, match="splits found: train, valid;"):
        read_dataset("yolo", tmp_path, "tset")


def test_ilsvrc_is_told_by_its_lists(tmp_path):
    write(tmp_path / "ImageSets" / "DET" / "val.txt", "a 1\n")
    assert find_layout(tmp_path) == "ilsvrc"


def test_roboflows_photos_without_xml_are_counted(tmp_path):
    make_roboflow_voc(tmp_path, "train", OBJECTS["train"])
    photo(tmp_path / "train" / "alone.jpg")
    said = []
    assert len(read_dataset("voc", tmp_path, "train", warn=said.append)) == 2
    assert len(said) == 1
    assert said[0].startswith("left out in ")
    assert "alone" in said[0]


def test_voc_objects_of_other_classes_alone_name_the_file_to_write(tmp_path):
    make_voc(tmp_path, "train", OBJECTS["train"])
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"hound, kitty; write these classes into .*classes\.txt"):
        read_dataset("voc", tmp_path, "train")


def test_a_root_category_that_has_objects_is_a_class(tmp_path):
    make_roboflow_coco(tmp_path, "train", OBJECTS["train"])
    file = tmp_path / "train" / "_annotations.coco.json"
    document = json.loads(file.read_text())
    document["annotations"][0]["category_id"] = 0
    file.write_text(json.dumps(document))
    assert read_dataset("coco", tmp_path, "train").class_names == ("pets", *CLASSES)
