"""Detections as other libraries take them, and back."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from detection_samples import CLASSES, random_detections

from incdet.detections import Detections
from incdet.errors import DataError, PackageError


def test_supervision_round_trip():
    pytest.importorskip("supervision")
    found = random_detections(5)
    found = found[np.argsort(-found.scores, kind="stable")]
    theirs = found.to_supervision()
    assert theirs.data["class_name"].tolist() == found.labels
    again = Detections.from_supervision(theirs[np.arange(len(found))[::-1]], "photos/a.jpg", 100, 80, CLASSES)
    for name in ("boxes", "scores", "class_ids"):
        assert np.array_equal(getattr(again, name), getattr(found, name))
    assert len(found[:0].to_supervision()) == 0


def test_names_win_over_numbers_and_unknown_classes_are_told():
    boxes, ids = np.array([[0, 0, 5, 5.0]]), np.array([0])
    named = SimpleNamespace(xyxy=boxes, confidence=None, class_id=ids, data={"class_name": np.array(["cow"])})
    found = Detections.from_supervision(named, "a.jpg", 10, 10, CLASSES)
    assert (found.labels, found.scores.tolist()) == (["cow"], [1])
    for data, class_id, words in (
        ({"class_name": ["yak"]}, ids, "yak"),
        ({}, None, "no class_id"),
        ({}, [7], "7 to 7"),
    ):
        wrong = SimpleNamespace(xyxy=boxes, confidence=None, class_id=class_id, data=data)
        with pytest.raises(DataError, match=words):
            Detections.from_supervision(wrong, "a.jpg", 10, 10, CLASSES)


def test_pandas_has_a_row_for_each_box():
    pytest.importorskip("pandas")
    found = random_detections(6)
    table = found.to_pandas()
    assert list(table.columns) == ["image", "label", "class_id", "score", "x1", "y1", "x2", "y2"]
    assert table["label"].tolist() == found.labels
    assert np.array_equal(table[["x1", "y1", "x2", "y2"]].to_numpy(), found.boxes)


def test_tensors_of_torchvision_count_from_one():
    found = random_detections(7)
    tensors = found.to_torchvision()
    assert np.array_equal(tensors["boxes"].numpy(), found.boxes)
    assert tensors["labels"].tolist() == (found.class_ids + 1).tolist()
    tensors["boxes"][:] = 0
    assert found.boxes.any()


@pytest.mark.parametrize("package", ["supervision", "pandas"])
def test_a_library_that_is_absent_is_told(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PackageError, match=f"pip install {package}"):
        getattr(random_detections(8), f"to_{package}")()
