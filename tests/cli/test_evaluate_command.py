"""`incdet evaluate` of stored detections, on a data set so small that mAP can be calculated by hand."""

import gzip
import json

import numpy as np
import pytest

from incdet.detections import Detections
from incdet.output.writers import detections_json

CLASSES = ("accordion", "brown bear", "computer mouse")
IMAGES = ("ILSVRC2012_val_00000009", "ILSVRC2012_val_00000004", "ILSVRC2012_val_00000007", "ILSVRC2012_val_00000002")
"""The index is the line in val.txt, not the number in the name."""

A, SMALL = (0, 0, 99, 99), (0, 0, 9, 9)
OBJECTS = ([("n2", A)], [("n2", A), ("n1", SMALL)], [("n1", A)], [])
SUBMISSION = """\
1 2 0.9 0 0 99 99
4 2 0.8 0 0 99 99
2 2 0.7 0 0 99 49
2 1 0.6 0 0 9 2
3 1 0.95 300 300 399 399
"""
"""Bears: found, false, found at 0.5. Accordions: found at 0.3, which only ILSVRC takes for the small object; the last
one is false, but on the blacklist with its object."""

BEARS = 1 / 2 + 1 / 2 * 2 / 3
KEYS = ["rules", "mAP", "median_AP", "ap", "num_images", "num_detections", "num_ground_truth", "dataset", "seconds"]
OWN_KEYS = [*KEYS[:8], "pooled_AP", "placed", *KEYS[8:]]
"""The numbers under incdet's own rules, which COCO's lack."""

REPORT = {
    "errors.json",
    "judgement.npz",
    "precision_recall.png",
    "average_precision.png",
    "report.html",
    "confusion.csv",
}


def annotation(objects):
    text = "<annotation><size><width>500</width><height>400</height></size>"
    for name, (xmin, ymin, xmax, ymax) in objects:
        corners = f"<xmin>{xmin}</xmin><xmax>{xmax}</xmax><ymin>{ymin}</ymin><ymax>{ymax}</ymax>"
        text += f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"
    return text + "</annotation>"


@pytest.fixture
def folder(tmp_path):
    """Holds `tiny`, a data set in ILSVRC's layout without photos, and submission.txt."""
    root = tmp_path / "tiny"
    for name in ("devkit/data", "ImageSets/DET", "Annotations/DET/val"):
        (root / name).mkdir(parents=True)
    rows = [f"n{number} {number} {name}\n" for number, name in enumerate(CLASSES, 1)]
    (root / "devkit" / "data" / "map_det.txt").write_text("".join(rows))
    (root / "devkit" / "data" / "ILSVRC2014_det_validation_blacklist.txt").write_text("3 n1\n")
    numbered = [f"{name} {number}\n" for number, name in enumerate(IMAGES, 1)]
    (root / "ImageSets" / "DET" / "val.txt").write_text("".join(numbered))
    for name, objects in zip(IMAGES, OBJECTS, strict=True):
        (root / "Annotations" / "DET" / "val" / f"{name}.xml").write_text(annotation(objects))
    (tmp_path / "submission.txt").write_text(SUBMISSION)
    return tmp_path


@pytest.fixture
def evaluate(incdet, folder):
    """Runs the command: arguments -> (its numbers, or stdout where it fails; stderr)."""

    def run(*arguments, predictions="submission.txt", code=0):
        options = ["--dataset", "ilsvrc", "--root", "tiny", "--predictions", predictions, "--json", "-"]
        found, out, err = incdet("evaluate", *options, *arguments)
        assert found == code, err
        assert "Traceback" not in err
        return (json.loads(out) if code == 0 else out), err

    return run


def test_the_interval_needs_a_folder_and_goes_into_the_numbers(evaluate):
    numbers, _ = evaluate("--output", "report", "--interval", "--rules", "voc")
    low, high = numbers["interval"]
    assert 0 <= low <= numbers["mAP"] <= high <= 1
    assert low < high
    _, error = evaluate("--interval", code=2)
    assert "--interval needs --output" in error


def without_time(numbers):
    return {key: value for key, value in numbers.items() if key != "seconds"}


def test_ilsvrc_rules_give_the_hand_calculated_numbers_and_exactly_these_keys(evaluate):
    numbers, notes = evaluate()
    assert list(numbers) == OWN_KEYS
    assert numbers.pop("seconds") > 0
    assert numbers == {
        "rules": "ilsvrc",
        "mAP": pytest.approx((BEARS + 1) / 2, abs=1e-12),
        "median_AP": pytest.approx((BEARS + 1) / 2, abs=1e-12),
        "ap": {"accordion": 1, "brown bear": pytest.approx(BEARS, abs=1e-12), "computer mouse": None},
        "num_images": 4,
        "num_detections": 5,
        "num_ground_truth": 3,
        "dataset": "tiny val",
        # in one list: found, false, found, found; the three found ones overlap their objects only
        "pooled_AP": pytest.approx((1 + 3 / 4 + 3 / 4) / 3, abs=1e-12),
        "placed": {"num_placed": 3, "top1": 1, "top5": 1},
    }
    assert "warning: 1 of 3 classes has no objects in tiny val (computer mouse)" in notes
    assert "brown bear" in notes, "the table goes to stderr when the numbers go to stdout"


@pytest.mark.parametrize(
    ("rules", "accordions", "bears"),
    [
        ("voc", 0, BEARS),
        # recall 0.5 at precision 1, recall 1 at precision 2/3: 6 and 5 of 11 points
        ("voc07", 0, (6 + 5 * 2 / 3) / 11),
        # of 101 points 51 and 50 at the threshold 0.5, 51 and none at the nine others
        ("coco", 0, ((51 + 50 * 2 / 3) / 101 + 9 * 51 / 101) / 10),
    ],
)
def test_other_rules_judge_the_same_data_without_the_blacklist(rules, accordions, bears, evaluate):
    numbers, _ = evaluate("--rules", rules)
    assert list(numbers) == (OWN_KEYS if rules != "coco" else [*KEYS[:7], "coco", *KEYS[7:]])
    assert numbers["rules"] == rules
    expected = {"accordion": accordions, "brown bear": pytest.approx(bears, abs=1e-9), "computer mouse": None}
    assert numbers["ap"] == expected
    assert numbers["mAP"] == pytest.approx((accordions + bears) / 2, abs=1e-9)
    assert numbers["num_ground_truth"] == 4
    if rules == "coco":
        assert numbers["coco"]["AP50"] == pytest.approx((51 + 50 * 2 / 3) / 101 / 2, abs=1e-9)


def test_output_explains_the_number_and_json_is_a_file(folder, incdet):
    arguments = ["--dataset", "ilsvrc", "--root", "tiny", "--predictions", "submission.txt"]
    code, out, err = incdet("evaluate", *arguments, "--output", "o", "--json", "n/out.json")
    assert code == 0, err
    assert {file.name for file in (folder / "o").iterdir()} == REPORT
    errors = json.loads((folder / "o" / "errors.json").read_text())["errors"]
    assert {name: error["count"] for name, error in errors.items() if error["count"]} == {"background": 1}
    assert errors["background"]["mAP_points"] == pytest.approx(100 * (1 - BEARS) / 2)
    numbers = json.loads((folder / "n" / "out.json").read_text())
    assert f"{numbers['mAP']:.4f}" in out
    assert "brown bear" in out
    assert "warning" not in out
    assert "brown bear" in (folder / "o" / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: None, "1 of 3 classes has no objects"),
        (lambda folder: (folder / "submission.txt").write_text(""), "holds no detections"),
        (lambda folder: next((folder / "tiny").rglob("*blacklist.txt")).unlink(), "blacklist"),
        (lambda folder: (folder / "submission.txt").write_text(SUBMISSION + "1 1 0.5 9 9 0 0\n"), "corners exchanged"),
    ],
    ids=["class without objects", "no detections", "no blacklist", "inverted box"],
)
def test_warnings_go_to_stderr_and_strict_makes_them_exit_code_3(folder, change, words, evaluate):
    change(folder)
    _, notes = evaluate()
    assert any(line.startswith("warning: ") and words in line for line in notes.splitlines())
    stdout, notes = evaluate("--strict", "--output", "o", code=3)
    assert stdout == ""
    assert words in notes
    assert "(--strict)" in notes
    assert not (folder / "o").exists()


@pytest.mark.parametrize("collection", ["ilsvrc", "voc", "coco"])
def test_an_empty_file_of_predictions_gives_zero_and_says_so(folder, collection, evaluate):
    (folder / "empty.jsonl").write_text("")
    if collection == "voc":
        (folder / "tiny" / "ImageSets" / "Main").mkdir()
        (folder / "tiny" / "ImageSets" / "Main" / "val.txt").write_text("a\n")
        (folder / "tiny" / "Annotations" / "a.xml").write_text(annotation([("cat", A)]))
    if collection == "coco":
        document = {"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}]}
        document["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}]
        (folder / "tiny" / "annotations").mkdir(exist_ok=True)
        text = json.dumps(document | {"categories": [{"id": 1, "name": "cat"}]})
        (folder / "tiny" / "annotations" / "instances_val.json").write_text(text)
    numbers, notes = evaluate("--dataset", collection, predictions="empty.jsonl")
    assert (numbers["mAP"], numbers["num_detections"]) == (0, 0)
    assert "no detections: every AP is 0" in notes


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dataset", "ilsvrc", "--predictions", "submission.txt", "--weights", "default"],
        ["--dataset", "ilsvrc", "--predictions", "submission.txt", "--each-network", "--quiet"],
        ["--dataset", "ilsvrc", "--predictions", "submission.txt", "--set", "detections.iou_threshold=0.5"],
        ["--dataset", "coco", "--output", "o", "--interval", "--quiet"],
        ["--dataset", "voc", "--predictions", "submission.txt", "--blacklist", "b.txt"],
        ["--dataset", "coco", "--predictions", "submission.txt", "--class-map", "c.txt"],
        ["--dataset", "ilsvrc", "--predictions", "submission.txt", "--rules", "imagenet"],
        ["--predictions", "submission.txt"],
    ],
)
def test_options_that_exclude_each_other_exit_with_2(folder, arguments, incdet):
    code, out, err = incdet("evaluate", "--root", "tiny", *arguments)
    assert (code, out) == (2, "")
    assert arguments[-2] in err or "--dataset" in err
    assert "Traceback" not in err


def test_parsed_annotations_are_kept_used_and_never_stale(folder, evaluate):
    assert evaluate("--cache", "c")[0]["mAP"] > 0
    (stored,) = (folder / "c" / "ground_truth").iterdir()
    with np.load(stored) as file:
        arrays = dict(file)
    # other boxes in the cache alone show that it is read
    np.savez_compressed(stored, **arrays | {"boxes": arrays["boxes"] + 1000})
    assert evaluate("--cache", "c")[0]["mAP"] == 0
    np.savez_compressed(stored, **arrays)
    edited = folder / "tiny" / "Annotations" / "DET" / "val" / f"{IMAGES[1]}.xml"
    # as many characters as before
    edited.write_text(edited.read_text().replace("<xmax>99</xmax>", "<xmax>11</xmax>"))
    numbers, _ = evaluate("--cache", "c")
    assert numbers["ap"]["brown bear"] == 1 / 2
    assert len(list((folder / "c" / "ground_truth").iterdir())) == 2
    for file in (folder / "c" / "ground_truth").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    assert without_time(evaluate("--cache", "c")[0]) == without_time(numbers)


@pytest.mark.parametrize("name", ["submission.txt.gz", "unnamed"])
def test_compressed_predictions_are_read_whatever_their_name(folder, name, evaluate):
    (folder / name).write_bytes(gzip.compress(SUBMISSION.encode()))
    numbers, _ = evaluate(predictions=name)
    assert (numbers["mAP"], numbers["num_detections"]) == (pytest.approx((BEARS + 1) / 2, abs=1e-12), 5)


def test_the_submission_written_for_detections_evaluates_to_the_identical_numbers(folder, evaluate):
    generator = np.random.default_rng(0)
    with (folder / "found.jsonl").open("w") as file:
        for name in (IMAGES[2], IMAGES[0], IMAGES[3], IMAGES[1]):
            corners = np.array([[0, 0, 100, 100], [0, 0, 10, 10]])[generator.integers(0, 2, 40)]
            boxes = (corners + generator.normal(0, 4, (40, 4)) + [0, 0, 9, 9]).astype(np.float32)
            # so close that three decimals would make them equal; some are
            scores = np.sort(0.5 + generator.integers(1, 30, 40) / 1e5)[::-1].astype(np.float32)
            class_ids = generator.integers(0, 2, 40)
            found = Detections(name, 500, 400, boxes, scores, class_ids, CLASSES)
            file.write(json.dumps(detections_json(found)) + "\n")
    expected, notes = evaluate("--output", "o", predictions="found.jsonl")
    assert {file.name for file in (folder / "o").iterdir()} == REPORT | {"submission.txt"}
    assert "submission.txt" in notes
    lines = (folder / "o" / "submission.txt").read_text().splitlines()
    assert len(lines) == 160
    assert {line.split()[0] for line in lines} == {"1", "2", "3", "4"}
    # only a report counts what lies over a threshold
    del expected["over_threshold"]
    assert without_time(evaluate(predictions="o/submission.txt")[0]) == without_time(expected)
    assert 0 < expected["mAP"] < 1


def test_names_in_square_brackets_are_shown_as_they_are(folder, evaluate):
    text = "n1 1 accordion [/small]\nn2 2 bear [bold]\nn3 3 mouse\n"
    (folder / "map.txt").write_text(text)
    numbers, notes = evaluate("--class-map", "map.txt", "--output", "o")
    assert list(numbers["ap"]) == ["accordion [/small]", "bear [bold]", "mouse"]
    assert "accordion [/small]" in notes
    assert "bear [bold]" in notes
