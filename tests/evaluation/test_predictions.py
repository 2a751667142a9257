"""Stored detections in every form: sound, broken, or of another split."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from incdet.data.dataset import Dataset
from incdet.detections import Detections
from incdet.errors import DataError
from incdet.evaluation.columns import detection_columns
from incdet.evaluation.detection_run import no_detections
from incdet.evaluation.predictions import has_coco_results, read_predictions
from incdet.evaluation.submission import submission_text
from incdet.output.writers import detections_from_json, detections_json
from incdet.structures import GroundTruth

# numpy's own warnings would reach the user's screen without the file's name
pytestmark = pytest.mark.filterwarnings("error")

CLASSES = tuple(f"class {number}" for number in range(1, 201))
GOOD = "2 1 0.5 0 0 9 9\n"
BOX = (0.5, 0, 0, 10, 10)  # score and half-open corners
FORMS = ("submission", "coco", "jsonl")
MIXED = [(3, 1, *BOX), (3, 2, *BOX), (4, 9, *BOX), (1, 1, *BOX), (2, 1, *BOX), (7, 1, *BOX)]
RESULT = {"image_id": 2, "category_id": 1, "score": 0.5, "bbox": [0, 0, 5, 5]}
ENTRY = {"label": "class 1", "score": 0.5, "box": [0, 0, 9, 9]}
WRONG = {
    "expected": [
        "2 1 .5 0 0 9", "2 1 .5 0 0 9 9 9", "2 1 high 0 0 9 9", "2,1,.5,0,0,9,9", "# 2 1 .5 0 0 9", "2 1 0_5 0 0 9 9"
    ],
    "whole numbers": ["2.5 1 .5 0 0 9 9", "2 1.5 .5 0 0 9 9", "nan 1 .5 0 0 9 9"],
    "finite": ["inf 1 .5 0 0 9 9", "2 1 nan 0 0 9 9", "2 1 -inf 0 0 9 9", "2 1 .5 0 NaN 9 9", "2 1 .5 0 0 1e400 9"],
    r"1\.\.200": ["2 0 .5 0 0 9 9", "2 201 .5 0 0 9 9", "2 -1 .5 0 0 9 9", "2 1e300 .5 0 0 9 9"],
    "no such image": ["0 1 .5 0 0 9 9", "8 1 .5 0 0 9 9", "-2 1 .5 0 0 9 9", "1e300 1 .5 0 0 9 9"],
}  # fmt: skip
LONG, RESULTS = GOOD.encode() * 40_000, json.dumps([RESULT] * 5000).encode()
BROKEN = gzip.compress(b"", mtime=0)[:10] + b"\xff" * 9  # with a block of a kind that does not exist
EMPTY = ["", "\n \n", "[]", gzip.compress(b"", mtime=0)]


def photo(index):
    return f"val_{index + 90:08d}"


def small_dataset(image_ids=(2, 4, 7), others=frozenset({1, 3, 5, 6})):
    """Three images of a list of seven, whose names hold other numbers than their indices."""
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    truths = tuple(GroundTruth(photo(index), 50, 40, *empty) for index in (2, 4, 7))
    paths = tuple(Path(f"{truth.image}.JPEG") for truth in truths)
    return Dataset("tiny val2", CLASSES, paths, truths, image_ids, tuple(range(1, 201)), others)


@pytest.fixture
def read(tmp_path):
    """Reads what a file `stored` with this content holds: (columns, warnings)."""

    def read_content(content, dataset=None, warn=None):
        warnings = []
        (tmp_path / "stored").write_bytes(content.encode() if isinstance(content, str) else content)
        columns = read_predictions(tmp_path / "stored", dataset or small_dataset(), warn or warnings.append)
        return columns, warnings

    return read_content


def content_of(form, rows):
    """Rows (image index, class id 1..200, score, x1, y1, x2, y2), half-open, those of an image together."""
    if form == "submission":
        return "".join(f"{i} {c} {s} {x1} {y1} {x2 - 1} {y2 - 1}\n" for i, c, s, x1, y1, x2, y2 in rows)
    if form == "coco":
        sized = [(i, c, s, [x1, y1, x2 - x1, y2 - y1]) for i, c, s, x1, y1, x2, y2 in rows]
        return json.dumps([dict(zip(RESULT, row, strict=True)) for row in sized])
    images = dict.fromkeys(row[0] for row in rows)
    found = {i: [{"label": CLASSES[c - 1], "score": s, "box": box} for j, c, s, *box in rows if i == j] for i in images}
    return "".join(json.dumps(line_of(photo(index), found[index])) + "\n" for index in images)


def line_of(image, found):
    return {"image": f"photos/{image}.JPEG", "width": 50, "height": 40, "detections": found}


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same_columns_in_the_file_s_order(read, form, compress):
    rows = [(4, 200, 0.25, 1.5, 2, 11.25, 21), (4, 1, 0.125, -3, 4, 6, 70), (2, 1, 0.75, 0, 0, 10, 10)]
    columns, warnings = read(compress(content_of(form, rows).encode()))
    assert columns.images.tolist() == [1, 1, 0]
    assert columns.class_ids.tolist() == [199, 0, 0]
    assert columns.scores.tolist() == [0.25, 0.125, 0.75]
    assert columns.boxes_inclusive.tolist() == [[1.5, 2, 10.25, 20], [-3, 4, 5, 69], [0, 0, 9, 9]]
    assert all("no line" in warning and form == "jsonl" for warning in warnings)


@pytest.mark.parametrize("seed", range(3))
def test_the_submission_text_of_float32_detections_reads_back_bit_for_bit(read, seed):
    generator, found = np.random.default_rng(seed), []
    for index in (2, 4, 7):
        corners = generator.normal(0, 1, (500, 2, 2)) * 10.0 ** generator.integers(-6, 5, (500, 2, 2))
        boxes = np.sort(corners.astype(np.float32), axis=1).reshape(-1, 4)
        scores = (generator.random(500) ** 20).astype(np.float32)
        boxes[0], scores[:3] = (-0.0, 0, 16777216, 3), (1, 0, 1e-45)
        found.append(Detections(photo(index), 50, 40, boxes, scores, np.arange(500) % 200, CLASSES))
    columns = detection_columns(found)
    lines = "".join(json.dumps(detections_json(entry)) + "\n" for entry in found)
    for text in (submission_text(columns, small_dataset()), lines):
        again, _ = read(text)
        for name in ("images", "class_ids", "scores", "boxes_inclusive"):
            assert getattr(again, name).tobytes() == getattr(columns, name).tobytes(), name


def test_coco_results_may_mix_images_ids_and_names(read):
    columns, warnings = read(json.dumps([RESULT | {"image_id": image} for image in (7, photo(4), 2)]))
    assert (columns.images.tolist(), warnings) == ([2, 1, 0], [])


@pytest.mark.parametrize(("before", "number"), [("", 1), (" \n\n", 3), (f"{GOOD}  \n\t\n{GOOD}\n", 6)])
@pytest.mark.parametrize(("line", "words"), [(line, words) for words, lines in WRONG.items() for line in lines])
def test_a_malformed_line_is_an_error_with_its_number(read, before, number, line, words):
    with pytest.raises(DataError, match=rf"stored, line {number}: .*{words}"):
        read(f"{before}{line}\n{GOOD}")


def test_other_lines_like_the_first_are_counted_in_a_compressed_file_too(read):
    with pytest.raises(DataError, match=r"stored, line 2: .*, found '2 1 nan 0 0 9 9' \(and 2 more lines like it"):
        read(gzip.compress((GOOD + "2 1 nan 0 0 9 9\n" * 3).encode()))


@pytest.mark.parametrize(
    "change",
    [
        {"image_id": None}, {"image_id": 2.5}, {"image_id": 1e300}, {"image_id": [2]}, {"image_id": 8},
        {"category_id": 0}, {"category_id": 201}, {"category_id": "1"}, {"category_id": [1]}, {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, 4, 5]}, {"bbox": [0, 0, "wide", 5]}, {"bbox": "1234"}, {"bbox": None},
        {"bbox": [0, float("nan"), 5, 5]}, {"bbox": [1e308, 0, 1e308, 5]}, {"bbox": [0, 0, 10**400, 5]},
        {"score": float("nan")}, {"score": float("inf")}, {"score": None}, {"score": 10**400},
    ],
    ids=lambda change: str(change)[:30],
)  # fmt: skip
def test_a_malformed_coco_result_is_an_error_with_its_number(read, change):
    for wrong in (RESULT | change, {key: value for key, value in RESULT.items() if key not in change}, 3):
        with pytest.raises(DataError, match="stored, entry 2: "):
            read(json.dumps([RESULT, wrong]))


@pytest.mark.parametrize(
    "change",
    [
        "{", "[1]", "null", "word", "{}", {"label": "unicorn"}, {"label": None}, {"box": [9, 9, 0, 0]},
        {"box": [0, 0, 9]}, {"box": [0, 0, 1e39, 9]}, {"box": [0, 0, 10**400, 9]}, {"box": None}, {"score": 2},
        {"score": float("nan")}, {"score": None}, {"score": 10**400}, {"width": float("inf")}, {"width": "wide"},
        {"detections": None}, {"detections": 3},
    ],
    ids=lambda change: str(change)[:30],
)  # fmt: skip
def test_a_malformed_line_of_json_is_an_error_with_its_number(read, change):
    line = change if isinstance(change, str) else json.dumps(line_of("b", [ENTRY | change]) | change)
    with pytest.raises(DataError, match="stored, line 2: "):
        read(f"{content_of('jsonl', [(2, 1, *BOX)])}{line}\n")


@pytest.mark.parametrize(
    "content",
    [
        "{}", '{"annotations": []}', "null", '"text"', "[", "[] x", "[{]", "[" * 100_000, bytes(range(256)),
        b"\x00" * 99, b"\x89PNG\r\n\x1a\n\x00", GOOD.encode("utf-32"), LONG + b"\xff\xfe", LONG + b"caf\xe9",
        gzip.compress(LONG)[:3], gzip.compress(LONG)[:-40], gzip.compress(LONG)[:-4], gzip.compress(LONG) + b"x",
        gzip.compress(RESULTS)[:-1], BROKEN, gzip.compress(LONG) + BROKEN, gzip.compress(RESULTS) + BROKEN,
    ],
    ids=[
        "object", "annotations", "null", "text", "cut", "more", "comma", "deep", "bytes", "zeros", "PNG",
        "UTF-32", "binary end", "word at end", "gzip head", "half gzip", "gzip without end", "gzip and more",
        "results without end", "gzip broken early", "gzip broken late", "results broken late",
    ],
)  # fmt: skip
def test_rubbish_is_an_error_that_names_the_file(read, content):
    with pytest.raises(DataError, match="stored"):
        read(content)


@pytest.mark.parametrize("use", [has_coco_results, lambda file: read_predictions(file, small_dataset(), print)])
def test_a_missing_file_and_a_folder_are_errors(tmp_path, use):
    for file in (tmp_path, tmp_path / "gone"):
        with pytest.raises(DataError, match=f"cannot read the predictions {file}: "):
            use(file)


def test_a_submission_for_a_collection_that_has_names_only_is_an_error(read):
    with pytest.raises(DataError, match="stored names images by number, but tiny val2 has names"):
        read(GOOD, small_dataset(("a", "b", "c"), None))


@pytest.mark.parametrize("others", [frozenset({1, 3, 5, 6}), None], ids=["of a list", "list not known"])
@pytest.mark.parametrize("form", FORMS)
def test_detections_on_images_outside_the_split_are_left_out_and_counted(read, form, others):
    columns, warnings = read(content_of(form, MIXED), small_dataset(others=others))
    assert (columns.images.tolist(), columns.class_ids.tolist()) == ([1, 0, 2], [8, 0, 0])
    (warning,) = warnings
    names = ("3, 1", f"{photo(3)}, {photo(1)}")[form == "jsonl"]
    assert f"2 images that tiny val2 lacks ({names}): left out" in warning
    assert warning.startswith("3 of 6 detections in ")


@pytest.mark.parametrize("form", FORMS)
def test_it_is_an_error_when_no_detection_is_on_the_split(read, form):
    words = r"4 of 4 detections .* 4 images that tiny val2 lacks \(\w+, \w+, \w+, \.\.\.\); check --split"
    with pytest.raises(DataError, match=words):
        read(content_of(form, [(index, 1, *BOX) for index in (5, 1, 3, 6)]))


@pytest.mark.parametrize("form", FORMS)
def test_boxes_without_a_pixel_are_kept_and_counted(read, form):
    columns, warnings = read(content_of(form, [(2, 1, *BOX), (4, 1, 0.5, 3, 3, 3, 8), (7, 1, 0.5, 3, 3, 8, 3)]))
    assert columns.boxes_inclusive.tolist() == [[0, 0, 9, 9], [3, 3, 2, 7], [3, 3, 7, 2]]
    (warning,) = warnings
    assert warning.startswith("2 boxes in ")
    assert "= 3 3 2 7): false detections" in warning


def test_a_box_narrower_than_a_pixel_is_not_inverted(read):
    # xmax - xmin + 1 = 0.5 is a width with which it can find an object
    assert read("2 1 0.5 3 3 2.5 7\n")[1] == []


@pytest.mark.parametrize("content", EMPTY, ids=["empty", "blank", "empty list", "compressed nothing"])
def test_nothing_at_all_is_no_error_but_said(read, content):
    columns, warnings = read(content)
    (warning,) = warnings
    assert len(columns) == 0
    assert "stored holds no detections: every AP is 0" in warning


def test_each_image_should_have_one_line_of_json(read):
    content = content_of("jsonl", [(4, 1, *BOX)])
    (warning,) = read(content)[1]
    assert warning.startswith("2 of 3 images have no line in")
    assert photo(2) in warning
    assert read(content + "".join(json.dumps(line_of(photo(index), [])) + "\n" for index in (2, 7)))[1] == []
    with pytest.raises(DataError, match=f"two lines for the image {photo(4)}"):
        read(content * 2)
    # images of other splits may share a name
    others = (json.dumps(line_of("", []) | {"image": f"{folder}/7777.jpg"}) + "\n" for folder in ("train", "test"))
    assert len(read(content + "".join(others))[0]) == len(read(content)[0])


def test_photos_without_a_stated_size_that_could_not_be_read_are_read_back(tmp_path):
    truth = GroundTruth("a", 0, 0, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    line = detections_json(no_detections(truth, CLASSES))
    assert len(detections_from_json(line, CLASSES)) == 0
    with pytest.raises(DataError, match="the label 'zebra' is none of"):
        detections_from_json(line | {"detections": [{"label": "zebra", "score": 0.5, "box": [0, 0, 1, 1]}]}, CLASSES)


def test_names_may_hold_dots(read):
    dataset = small_dataset()
    truths = [replace(truth, image=f"2026.11.{index}") for index, truth in enumerate(dataset.ground_truths)]
    dataset = replace(dataset, ground_truths=tuple(truths))
    found = [{"label": CLASSES[0], "score": 0.5, "box": [0, 0, 9, 9]}]
    names = ["2026.11.0", "2026.11.1.jpg", "photos/2026.11.2.JPEG"]
    lines = (json.dumps(line_of("", found) | {"image": name}) for name in names)
    columns, warnings = read("\n".join(lines), dataset)
    assert (columns.images.tolist(), warnings) == ([0, 1, 2], [])


@pytest.mark.parametrize("content", [*(content_of(form, MIXED) for form in FORMS), GOOD + "2 1 1 9 9 0 0\n", *EMPTY])
def test_a_warning_that_raises_stops_the_reading(read, content):
    def refuse(sentence):
        raise DataError(f"{sentence} (--strict)")

    with pytest.raises(DataError, match=r"stored.* \(--strict\)$"):
        read(content, warn=refuse)
