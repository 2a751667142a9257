"""Files of single photos: YOLO's labels, LabelMe's shapes and crops, read back."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import PIL.Image
from detection_samples import CLASSES, detections, random_detections

from incdet.data.yolo import read_yolo
from incdet.data.yolo_labels import read_labels
from incdet.output.detection_files import save_crops, save_photo_files
from incdet.output.labelling_writers import cvat_xml, labelme_document, yolo_text
from incdet.structures import Image


def photo_of(width=100, height=80):
    pixels = np.arange(width * height * 3, dtype=np.uint64).reshape(height, width, 3) % 251
    return Image(pixels.astype(np.uint8), "photos/a.jpg")


def test_yolo_labels_are_read_back(tmp_path):
    found = random_detections(4)
    file = tmp_path / "a.txt"
    file.write_text(yolo_text(found))
    boxes, class_ids, _ = read_labels(file, CLASSES, 100, 80)
    assert np.allclose(boxes, found.boxes, atol=1e-4)
    assert class_ids.tolist() == found.class_ids.tolist()
    assert yolo_text(found[:0]) == ""


def test_labelme_has_corners_and_the_photo():
    found = detections([[1, 2, 30, 40.5]], [0.25], [1])
    document = labelme_document(found)
    assert document["shapes"][0]["points"] == [[1, 2], [30, 40.5]]
    assert (document["shapes"][0]["label"], document["shapes"][0]["shape_type"]) == ("dog", "rectangle")
    assert (document["imagePath"], document["imageWidth"], document["imageHeight"]) == ("a.jpg", 100, 80)
    assert "0.25" in document["shapes"][0]["description"]


def test_cvat_has_every_photo_and_box():
    found = [detections([[1, 2, 30, 40.5]], [0.25], [1]), detections([], [], [])]
    root = ElementTree.fromstring(cvat_xml([replace(found[0], image="a/<b>.jpg"), found[1]]))
    assert root.findtext("version") == "1.1"
    images = root.findall("image")
    assert [image.get("id") for image in images] == ["0", "1"]
    assert images[0].attrib == {"id": "0", "name": "a/<b>.jpg", "width": "100", "height": "80"}
    (box,) = images[0].findall("box")
    assert [float(box.get(corner)) for corner in ("xtl", "ytl", "xbr", "ybr")] == [1, 2, 30, 40.5]
    assert (box.get("label"), box.get("source"), box.findtext("attribute[@name='score']")) == ("dog", "auto", "0.25")
    assert images[1].findall("box") == []


def test_crops_take_the_place_of_earlier_ones(tmp_path):
    found = detections([[0, 0, 50, 40], [10, 20, 30, 50], [5, 5, 5, 5]], [0.9, 0.5, 0.4], [0, 1, 2])
    (tmp_path / "mine-cat.jpg").write_text("mine")
    # an earlier run found more than a thousand
    (tmp_path / "1000-cat.jpg").write_text("made by incdet")
    save_crops(tmp_path, found, photo_of())
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["001-cat.jpg", "002-dog.jpg", "003-cow.jpg", "mine-cat.jpg"]
    assert PIL.Image.open(tmp_path / "002-dog.jpg").size == (20, 30)
    save_crops(tmp_path, found[:1], photo_of())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["001-cat.jpg", "mine-cat.jpg"]


def test_every_wanted_kind_is_saved(tmp_path):
    files = {kind: tmp_path / "out" / name for kind, name in (("labelme", "a.json"), ("yolo", "labels/a.txt"))}
    photo = tmp_path / "photos" / "a.jpg"
    save_photo_files(files.get, detections([[0, 0, 50, 40]], [0.9], [0]), photo_of(), photo)
    assert json.loads(files["labelme"].read_text())["imagePath"] == "../photos/a.jpg"
    assert files["yolo"].read_text() == "0 0.25000000 0.25000000 0.50000000 0.50000000\n"


def test_results_make_a_yolo_data_set(incdet, photo, tmp_path):
    """The labels of a run, with the photos beside them, are read as a data set."""
    arguments = "--set scores.features=shared --set proposals.limit=24 --set proposals.methods=[selective_search]"
    kinds = "yolo,crops,labelme"
    code, _, err = incdet("detect", photo, *arguments.split(), "--save", kinds, "--output", "found", "-q")
    assert code == 0, err
    assert (tmp_path / "found" / "crops" / "cat" / "001-cat.jpg").is_file()
    assert (tmp_path / "found" / "cat.json").is_file()
    (tmp_path / "found" / "images").mkdir()
    photo.rename(tmp_path / "found" / "images" / "cat.png")
    dataset = read_yolo(tmp_path / "found", "train")
    assert [dataset.class_names[class_id] for class_id in dataset.ground_truths[0].class_ids] == ["cat"]
