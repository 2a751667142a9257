"""Files of detections: JSON, COCO, CSV and VOC XML."""

import json

import numpy as np
import pytest
from detection_samples import CLASSES, detections, random_detections

from incdet.data.xml_annotations import VOC_BOXES, read_annotation
from incdet.errors import DataError
from incdet.output.writers import (
    coco_document,
    csv_text,
    detections_from_json,
    detections_json,
    read_detections,
    voc_xml,
)


def test_json_round_trips_every_bit():
    found = random_detections(0)
    line = json.loads(json.dumps(detections_json(found)))
    again = detections_from_json(line, CLASSES)
    assert np.array_equal(found.boxes, again.boxes)
    assert np.array_equal(found.scores, again.scores)
    assert np.array_equal(found.class_ids, again.class_ids)
    assert (found.image, found.width, found.height) == (again.image, again.width, again.height)


def test_labels_decide_when_the_class_order_differs():
    line = detections_json(detections([[0, 0, 5, 5]], [0.5], [2]))
    assert detections_from_json(line, ("cow", "cat")).labels == ["cow"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detections": [{"label": "yak", "score": 0.5, "box": [0, 0, 1, 1]}]}, "label"),
        ({"detections": [{"label": "cat", "score": 1.5, "box": [0, 0, 1, 1]}]}, "scores"),
        ({"detections": [{"label": "cat", "score": 0.5, "box": [5, 0, 1, 1]}]}, "exchanged"),
        ({"detections": [{"label": "cat", "box": [0, 0, 1, 1]}]}, "'score'"),
        ({"detections": 3}, "detections is '3', expected a list"),
        ({"width": 0}, "width is less than 1 pixel"),
        ({"image": "\ud800"}, "surrogate"),
        ({"detections": [{"label": "cat", "score": "0.5", "box": [0, 0, 1, 1]}]}, "score is no number"),
        ({"detections": [{"label": "cat", "score": 0.5, "box": [0, 0, "1", 1]}]}, "box is no number"),
        ({"detections": [{"label": "cat", "score": True, "box": [0, 0, 1, 1]}]}, "score is no number"),
        ({"width": "4"}, "width is '4'"),
        ({"image": 3}, "image is '3', expected text"),
    ],
)
def test_malformed_lines_are_refused(tmp_path, change, words):
    file = tmp_path / "d.jsonl"
    good = detections_json(detections([[0, 0, 5, 5]], [0.5], [2]))
    file.write_text(json.dumps(good) + "\n" + json.dumps({**good, **change}) + "\n")
    with pytest.raises(DataError, match="line 2") as refused:
        read_detections(file, CLASSES)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_coco_boxes_are_corner_and_size():
    found = detections([[10, 20, 30, 50]], [0.25], [1])
    entry = {"image_id": 9, "category_id": 2, "bbox": [10, 20, 20, 30], "score": 0.25}
    assert found.to_coco(9) == [entry]
    assert found.to_coco(9, {"dog": 18})[0]["category_id"] == 18


def test_pycocotools_reads_the_coco_document(tmp_path):
    from pycocotools.coco import COCO

    file = tmp_path / "c.json"
    file.write_text(json.dumps(coco_document([random_detections(2), random_detections(3)], CLASSES)))
    coco = COCO(file)
    assert len(coco.getImgIds()) == 2
    assert len(coco.getAnnIds()) == 40
    assert {entry["name"] for entry in coco.loadCats(coco.getCatIds())} == set(CLASSES)


def test_csv_quotes_names_with_commas():
    found = detections([[1, 2, 3.5, 4]], [0.5], [0], image='odd, "name".jpg')
    assert csv_text([found]).splitlines()[1] == '"odd, ""name"".jpg",cat,0,0.5,1.0,2.0,3.5,4.0'


def test_voc_xml_is_read_back_by_our_reader(tmp_path):
    found = detections([[0, 0, 100, 80], [10, 20, 30, 50]], [0.5, 0.4], [1, 2])
    file = tmp_path / "a.xml"
    file.write_text(voc_xml(found))
    truth = read_annotation(file, {name: index for index, name in enumerate(CLASSES)}, VOC_BOXES)
    assert np.array_equal(truth.boxes, found.boxes)
    assert truth.class_ids.tolist() == [1, 2]
