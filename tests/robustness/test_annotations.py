"""Annotations that contradict themselves: references, keys, types, impossible boxes, odd spellings."""

import json
import math
import re

import numpy as np
import pytest
from annotation_files import coco, write, xml

from incdet.data.coco import read_coco
from incdet.data.dataset import no_warning
from incdet.data.impossible_boxes import learnable
from incdet.data.readers import read_dataset
from incdet.errors import DataError
from incdet.evaluation.dataset_evaluation import evaluate_dataset
from incdet.evaluation.predictions import read_predictions
from incdet.structures import GroundTruth

ENTRY = {"id": 5, "image_id": 7, "category_id": 3, "bbox": [0, 0, 4, 4]}


def read(tmp_path, **changes):
    """Returns a data set of these entries and the sentences that its reader has said."""
    told = []
    file = write(tmp_path / "mine.json", json.dumps(coco(**changes)))
    return read_coco(file, tmp_path, "mine", told.append), told


@pytest.mark.parametrize("stranger", [77, "7", 7.0], ids=["unlisted", "text", "whole float"])
def test_annotations_on_unlisted_images_are_counted_and_every_rule_has_the_same_objects(tmp_path, stranger):
    dataset, told = read(tmp_path, annotations=[ENTRY, ENTRY | {"id": 6, "image_id": stranger}])
    number = 2 if stranger == 7.0 else 1
    assert sum(len(truth) for truth in dataset.ground_truths) == number
    assert [("1 of 2 annotations" in sentence and "annotation 6" in sentence) for sentence in told] == [True] * (
        2 - number
    )
    results = write(
        tmp_path / "res.json", json.dumps([{"image_id": 7.0, "category_id": 3, "bbox": [0, 0, 4, 4], "score": 1}])
    )
    found = read_predictions(results, dataset, no_warning)
    for rules in ("coco", "voc", "ilsvrc"):
        evaluation = evaluate_dataset(dataset, found, rules, "pycocotools", results, no_warning)
        assert evaluation.num_objects.sum() == number


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": [{"id": 7, "file_name": f"{name}.jpg", "width": 4, "height": 3} for name in "ab"]}, "a.jpg, b.jpg"),
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 3.0, "name": "dog"}]}, "cat, dog"),
        ({"annotations": [ENTRY | {"category_id": 9}]}, r"annotation 5 .*7\.jpg.*category_id 9 is none of the file's"),
        ({"annotations": [ENTRY | {"category_id": "3"}]}, r"annotation 5 .*'3'.*whole number"),
        ({"annotations": [{"id": 5, "image_id": 7, "category_id": 3}]}, r"annotation 5 .*7\.jpg.* has no bbox"),
        ({"annotations": [ENTRY | {"bbox": []}]}, r"annotation 5 .*7\.jpg.* \[\]; expected four numbers"),
        ({"annotations": [ENTRY | {"bbox": [0, "0", 1, 1]}]}, "annotation 5 .*expected four numbers"),
        ({"annotations": [ENTRY | {"iscrowd": "0"}]}, "annotation 5 .*iscrowd '0'; expected 0 or 1"),
        ({"annotations": [ENTRY | {"iscrowd": [0]}]}, "annotation 5 .*iscrowd"),
        ({"annotations": [ENTRY | {"area": "4"}]}, "annotation 5 .*area '4'"),
        ({"annotations": [ENTRY | {"image_id": None}]}, "annotation 5 .*image_id None"),
        ({"annotations": [3]}, "annotation number 1 is a number"),
        ({"images": [{"id": 7, "file_name": "a.jpg", "width": -4, "height": 3}]}, r"a\.jpg.*width -4"),
        ({"images": [{"id": 7, "file_name": "a.jpg", "width": 4, "height": "3"}]}, r"a\.jpg.*height '3'"),
        ({"images": [{"id": 7, "file_name": "a.jpg", "width": 1e30, "height": 3}]}, r"a\.jpg.*width 1e\+30"),
        ({"images": [{"id": 7, "file_name": "../a.jpg", "width": 4, "height": 3}]}, "leads out of"),
        ({"images": [{"id": 7, "file_name": "/etc/a.jpg", "width": 4, "height": 3}]}, "leads out of"),
        ({"images": [{"id": 7, "file_name": f"{'9' * 300}.jpg", "width": 4, "height": 3}]}, "no file can have"),
        ({"images": [{"id": 7, "file_name": "\ud800.jpg", "width": 4, "height": 3}]}, "no file can have"),
        ({"categories": [{"id": 3, "name": "\ud800"}]}, "category 3 has the name .*expected text"),
        ({"images": [{"id": True, "file_name": "a.jpg", "width": 4, "height": 3}]}, "the id True"),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_wrong(tmp_path, changes, words):
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, **changes)
    assert r"mine.json" in str(caught.value)
    for inner in ("GroundTruth", "numpy", "array", "ndarray", "str'", "'int"):
        assert inner not in str(caught.value)


@pytest.mark.parametrize(
    "box", [[5, 0, -4, 4], [0, 0, 4, -1], [0, 0, math.nan, 1], [0, 1e30, 1, 1], [10**400, 0, 1, 1]]
)
def test_boxes_of_no_place_are_counted_and_named(tmp_path, box):
    dataset, told = read(tmp_path, annotations=[ENTRY, ENTRY | {"id": 6, "bbox": box}])
    assert [len(truth) for truth in dataset.ground_truths] == [0, 1, 0]
    assert [truth.num_impossible for truth in dataset.ground_truths] == [0, 1, 0]
    assert len(told) == 1
    assert "1 impossible box" in told[0]
    assert "annotation 6 of 7.jpg" in told[0]


def test_an_unused_root_category_is_no_class(tmp_path):
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 3, "name": "cat", "supercategory": "pets"},
    ]
    dataset, _ = read(tmp_path, categories=categories, annotations=[ENTRY])
    assert dataset.class_names == ("cat",)
    assert read(tmp_path, categories=categories, annotations=[ENTRY | {"category_id": 0}])[0].class_names[0] == "pets"


def test_the_areas_of_outlines_decide_coco_sizes(tmp_path):
    dataset, _ = read(tmp_path, annotations=[ENTRY | {"bbox": [0, 0, 40, 40], "area": 5}])
    results = write(
        tmp_path / "r.json", json.dumps([{"image_id": 7, "category_id": 3, "bbox": [0, 0, 40, 40], "score": 1}])
    )
    found = read_predictions(results, dataset, no_warning)
    numbers = evaluate_dataset(dataset, found, "coco", "pycocotools", results, no_warning).numbers
    assert numbers["AP_small"] == pytest.approx(1)
    assert numbers["AP_medium"] == -1


@pytest.mark.parametrize(
    "entry",
    [
        {"category_id": "3"},
        {"score": "0.9"},
        {"score": 10**400},
        {"bbox": [0, 0, "1", 1]},
        {"image_id": 1.5},
        {"bbox": {}},
    ],
)
def test_results_with_numbers_as_text_are_refused_by_their_place(tmp_path, entry):
    dataset, _ = read(tmp_path)
    good = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 0.5}
    file = write(tmp_path / "res.json", json.dumps([good, good | entry]))
    with pytest.raises(DataError, match=r"res\.json, entry 2"):
        read_predictions(file, dataset, no_warning)


def voc(tmp_path, annotations, names):
    for name, text in annotations.items():
        write(tmp_path / "Annotations" / f"{name}.xml", text)
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "\n".join(names))
    write(tmp_path / "classes.txt", "cat\ndog")
    told = []
    return read_dataset("voc", tmp_path, "val", warn=told.append), told


@pytest.mark.parametrize("names", [["a (1)", "my photo 1", "my photo 2"], ["a (1) 1", "my photo 1", "my photo 2  -1"]])
def test_names_in_lists_may_hold_spaces(tmp_path, names):
    annotations = dict.fromkeys(["a (1)", "my photo 1", "my photo 2"], xml([]))
    assert voc(tmp_path, annotations, names)[0].image_ids == ("a (1)", "my photo 1", "my photo 2")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../a", "leads out of the data set"), ("/etc/a", "leads out of the data set"),
        ("9" * 300, "no file can have"), (f"a {'9' * 5000}", "no file can have"),
    ],
)  # fmt: skip
def test_names_in_lists_are_those_of_files_inside_the_data_set(tmp_path, name, words):
    with pytest.raises(DataError, match=words):
        voc(tmp_path, {}, [name])


@pytest.mark.parametrize(
    ("text", "expected"), [("True", True), ("yes", True), ("1.0", True), ("False", False), ("no", False), ("", False)]
)
def test_flags_have_many_spellings(tmp_path, text, expected):
    dataset, _ = voc(tmp_path, {"a": xml([("cat", (1, 1, 4, 4), text)])}, ["a"])
    assert dataset.ground_truths[0].ignored.tolist() == [expected]


@pytest.mark.parametrize("encoding", ["ANSI", "hex", "rot13", "utf-99", "base64", "gb2312"])
def test_unknown_encodings_of_xml_are_a_sentence(tmp_path, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + xml([])
    with pytest.raises(DataError, match=r"a\.xml is not valid XML") as caught:
        voc(tmp_path, {"a": text}, ["a"])
    assert "\n" not in str(caught.value)


def test_odd_boxes_of_xml_are_counted_by_kind(tmp_path):
    boxes = {
        "turned": (9, 1, 2, 5),
        "nan": ("nan", 1, 2, 3),
        "outside": (60, 1, 90, 9),
        "beyond": (1, 1, 50, 9),
        "flat": (5, 5, 4, 9),
    }
    annotations = {name: xml([("cat", box, 0), ("dog", (1, 1, 9, 9), 0)]) for name, box in boxes.items()}
    dataset, told = voc(tmp_path, annotations, list(annotations))
    kinds = (
        "2 impossible boxes .*turned.xml",
        "1 box without area .*flat.xml",
        "1 box wholly outside .*outside.xml",
        "1 box partly outside .*beyond.xml",
    )
    for sentence, words in zip(told, kinds, strict=True):
        assert re.search(words, sentence), sentence
    assert [len(truth) for truth in dataset.ground_truths] == [1, 1, 2, 2, 2]


def test_training_learns_no_impossible_box():
    boxes = np.array(
        [[0, 0, 9, 9], [5, 5, 5, 9], [50, 0, 60, 9], [-4, 0, 8, 9], [-40, 0, 8, 9], [0, 0, 41, 9]], np.float32
    )
    truth = GroundTruth("a", 40, 30, boxes, np.arange(6), np.zeros(6, bool))
    learnt = learnable(truth)
    assert learnt.class_ids.tolist() == [0, 3, 4, 5]
    assert learnt.ignored.tolist() == [False, False, True, False]
    assert learnt.boxes[1].tolist() == [0, 0, 8, 9]
    assert learnt.num_impossible == 1
    assert learnable(learnt).boxes.tolist() == learnt.boxes.tolist()
