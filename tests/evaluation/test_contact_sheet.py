"""The sheet of photos with detections: which photos, and what is drawn into them."""

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from test_html_report import dataset_of, evaluation_of

from incdet.evaluation.contact_sheet import MISSED, RIGHT, WRONG, contact_sheet, mistakes
from incdet.evaluation.dataset_evaluation import write_report

ONE, OTHER = (10, 10, 90, 120), (130, 20, 230, 140)

PHOTOS = [
    ([(0, ONE, False)], [(0, ONE, 0.9)]),
    ([(0, ONE, False), (1, OTHER, False)], [(0, ONE, 0.9), (1, OTHER, 0.2)]),
    ([(0, ONE, False)], [(1, OTHER, 0.9)]),
    ([(0, ONE, True)], [(0, ONE, 0.9)]),
]
"""Right; one of two found; one false and one missed; one that need not be found."""


@pytest.fixture
def evaluation():
    return evaluation_of(PHOTOS, ["cat", "dog"])


def write_photos(folder, numbers):
    for number in numbers:
        PIL.Image.new("RGB", (500, 300), (20, 40, 160)).save(folder / f"{number}.jpg")


def colors(picture):
    """Which of the three marks are in a picture."""
    return {
        name
        for name, color in {"right": RIGHT, "wrong": WRONG, "missed": MISSED}.items()
        if (picture == color).all(axis=2).sum() > 50
    }


def test_mistakes_are_shares_of_what_was_shown_or_to_be_found(evaluation):
    assert mistakes(evaluation, 0.5).tolist() == [0, 0.5, 1, 0]
    assert mistakes(evaluation, 0.1).tolist() == [0, 0, 1, 0]


def test_rules_that_require_difficult_objects_miss_them():
    photos = [([(0, (0, 0, 99, 99), True)], [])]
    assert [mistakes(evaluation_of(photos, ["cat"], rules), 0.5).tolist() for rules in ("voc", "ilsvrc")] == [[0], [1]]


def test_from_the_best_photo_to_the_worst_with_right_and_wrong_marked(evaluation, tmp_path):
    write_photos(tmp_path, range(4))
    sheet = contact_sheet(evaluation, dataset_of(evaluation, tmp_path), 0.5, columns=4, rows=1)
    tiles = [colors(tile) for tile in np.split(sheet, 4, axis=1)]
    assert tiles == [{"right"}, set(), {"right", "missed"}, {"wrong", "missed"}]
    # the photo is half as large in the annotation: the box covers the same part of the tile
    marked = np.argwhere((sheet[:, :264] == RIGHT).all(axis=2))
    assert marked.min(axis=0) == pytest.approx(np.array([10, 10]) * 260 / 250, abs=2)
    assert marked.max(axis=0) == pytest.approx(np.array([120, 90]) * 260 / 250, abs=2)


def test_a_photo_of_unstated_size_is_as_large_as_it_is(evaluation, tmp_path):
    write_photos(tmp_path, range(4))
    dataset = dataset_of(evaluation, tmp_path)
    truths = [replace(truth, width=0, height=0) for truth in dataset.ground_truths]
    sheet = contact_sheet(evaluation, replace(dataset, ground_truths=tuple(truths)), 0.5, columns=4, rows=1)
    marked = np.argwhere((sheet[:, :264] == RIGHT).all(axis=2))
    assert marked.max(axis=0) == pytest.approx(np.array([120, 90]) * 260 / 500, abs=3)


def test_photos_that_cannot_be_read_are_passed_over(evaluation, tmp_path):
    assert contact_sheet(evaluation, dataset_of(evaluation, tmp_path), 0.5) is None
    write_photos(tmp_path, [1])
    (tmp_path / "2.jpg").write_bytes(b"no photo")
    sheet = contact_sheet(evaluation, dataset_of(evaluation, tmp_path), 0.5)
    assert sheet.shape == (264, 264, 3)
    write_report(evaluation, dataset_of(evaluation, tmp_path), tmp_path / "out")
    assert (tmp_path / "out" / "contact_sheet.jpg").is_file()
