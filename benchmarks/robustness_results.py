"""Mutated predictions, folders of results, logs and stored arrays: finished lines are the same or are left out."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from robustness_mutations import Mutated
from robustness_targets import Prepared, Target, expect

from incdet.config.sections import ProposalsConfig
from incdet.data.dataset import Dataset
from incdet.errors import DataError
from incdet.evaluation.average_precision import evaluate_columns
from incdet.evaluation.columns import DetectionColumns, ObjectColumns
from incdet.evaluation.predictions import read_predictions
from incdet.evaluation.stored_evaluation import FILE_NAME, load_evaluation, save_evaluation
from incdet.output.result_folder import PhotoRecord, ResultFolder
from incdet.output.result_lines import line_text
from incdet.output.writers import read_detections
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.files import save_arrays
from incdet.structures import GroundTruth
from incdet.training.run_log import read_curves

CLASSES = ("cat", "dog")

LINES = [
    {"image": name, "width": 500, "height": 375, "detections": [
        {"label": "cat", "class_id": 0, "score": 0.95, "box": [15.3, 8.1, 412.4, 290.3]},
        {"label": "dog", "class_id": 1, "score": 1e-05, "box": [0, 0, 500, 375]},
    ][:number]}
    for number, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))
]  # fmt: skip


def _dataset(folder: Path, ids: tuple[int | str, ...]) -> Dataset:
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    names = ("a", "b", "c")
    return Dataset(
        name="mine val",
        class_names=CLASSES,
        image_paths=tuple(folder / f"{name}.jpg" for name in names),
        ground_truths=tuple(GroundTruth(name, 500, 375, *none) for name in names),
        image_ids=ids,
        category_ids=(1, 18),
        rules="ilsvrc",
    )


def _columns_are_right(columns: DetectionColumns, num_images: int) -> None:
    expect(((columns.class_ids >= 0) & (columns.class_ids < len(CLASSES))).all(), "a class is none of the data set")
    expect(((columns.images >= 0) & (columns.images < num_images)).all(), "an image is none of the data set")
    # the result must be a number, whatever was read
    objects = ObjectColumns(
        np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([[0.0, 0, 9, 9]]), np.zeros(1, np.bool_)
    )
    evaluation = evaluate_columns(CLASSES, num_images, objects, columns, "voc")
    expect(0 <= evaluation.average_precision[0] <= 1, "the average precision is no share")


def _submission(folder: Path) -> Prepared:
    file, dataset = folder / "submission.txt", _dataset(folder, (1, 2, 3))
    seeds = (b"1 1 0.9 0 0 99.5 80\n2 18 0.25 -3 4 120 7\n3 1 1e-05 5 5 499 374\n", b"1 1 1 0 0 1 1")

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        told: list[str] = []
        columns = read_predictions(file, dataset, told.append)
        _columns_are_right(columns, 3)
        if not told and mutated.content[:1].isdigit():
            number = sum(bool(line.strip()) for line in re.split("\r\n|\n|\r", mutated.content.decode()))
            expect(len(columns.scores) == number, "a detection is lost without a word")

    return Prepared(seeds, check)


def _coco_results(folder: Path) -> Prepared:
    file, dataset = folder / "results.json", _dataset(folder, ("a", "b", 7))
    entries = [
        {"image_id": image, "category_id": category, "bbox": [1.5, 2, 30, 40], "score": score}
        for image, category, score in (("a", 1, 0.9), ("b", 18, 1e-05), (7, 1, 1))
    ]

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        told: list[str] = []
        columns = read_predictions(file, dataset, told.append)
        _columns_are_right(columns, 3)

    return Prepared((json.dumps(entries).encode(), b"[]"), check)


def _predictions(folder: Path) -> Prepared:
    file, dataset = folder / "detections.jsonl", _dataset(folder, ("a", "b", "c"))
    seeds = "".join(map(line_text, LINES)).encode(), "".join(json.dumps(line) + "\n" for line in LINES).encode()
    (folder / "good.jsonl").write_bytes(seeds[0])
    good = {found.image: found for found in read_detections(folder / "good.jsonl", CLASSES)}

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        found = read_detections(file, CLASSES)
        _columns_are_right(read_predictions(file, dataset, lambda _: None), 3)
        # a line with a checksum is right; in lines without one nobody can tell
        for entry in found if mutated.seed == 0 and mutated.content.count(b"crc32") == len(found) else ():
            expect(
                entry.image in good and np.array_equal(entry.boxes, good[entry.image].boxes), "a damaged line counts"
            )
            expect(np.array_equal(entry.scores, good[entry.image].scores), "a damaged line counts")

    return Prepared(seeds, check)


def _result_folder(folder: Path) -> Prepared:
    description, results = {"configuration": {"limit": 5}, "versions": {"incdet": "0"}}, folder / "results"
    made = ResultFolder(results, "detections", description)
    made.begin({}, [], [], {str(line["image"]): PhotoRecord("1", str(line["image"])) for line in LINES})
    for line in LINES:
        made.add(line)
    file = results / "detections.unfinished.jsonl"
    made.finish()
    lines, run = (results / "detections.jsonl").read_bytes(), (results / "run.json").read_bytes()

    def check(mutated: Mutated) -> None:
        is_run = mutated.seed == 1
        (results / "run.json").write_bytes(mutated.content if is_run else run)
        (results / "detections.jsonl").write_bytes(lines if is_run else mutated.content)
        file.unlink(missing_ok=True)
        continued = ResultFolder(results, "detections", description, {str(line["image"]): "1" for line in LINES})
        for photo, line in continued.done.items():
            expect(line == next((good for good in LINES if good["image"] == photo), None), "a damaged line is kept")

    return Prepared((lines, run), check)


def _log(folder: Path) -> Prepared:
    entries = [{"step": step, "loss": 1 / step, "learning_rate": 0.1} for step in (5, 10)] + [
        {"step": 10, "validation_mAP": 0.5}
    ]

    def check(mutated: Mutated) -> None:
        (folder / "log.jsonl").write_bytes(mutated.content)
        for points in read_curves(folder).values():
            expect(all(isinstance(step, int) and isinstance(value, float) for step, value in points), "no curve")

    return Prepared(("".join(json.dumps(entry) + "\n" for entry in entries).encode(),), check)


def _proposals(folder: Path) -> Prepared:
    cache = ProposalCache(folder, ProposalsConfig(methods=("selective_search",)))
    boxes = np.array([[0, 0, 9, 9], [1.5, 2, 30, 40]], np.float32)
    good: dict[str, Any] = {"boxes": boxes, "scores": np.array([1, 0.5], np.float32), "sources": np.array(["a", "b"])}
    file = cache.settings_folder / f"{'0' * 24}.npz"
    save_arrays(file, **good)

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        found = cache.load("0" * 24)
        if found is None:
            raise DataError("damaged: computed anew")
        same = all(np.array_equal(getattr(found, name), values) for name, values in good.items())
        expect(same, "damaged proposals are used")

    return Prepared((file.read_bytes(),), check)


def _evaluation(folder: Path) -> Prepared:
    objects = ObjectColumns(np.array([0, 1]), np.array([0, 1]), np.array([[0.0, 0, 9, 9]] * 2), np.zeros(2, np.bool_))
    found = DetectionColumns(np.array([0, 1]), np.array([0, 0]), np.array([0.9, 0.5]), np.array([[0.0, 0, 9, 9]] * 2))
    save_evaluation(folder / FILE_NAME, evaluate_columns(CLASSES, 2, objects, found, "voc"), "mine", ["a", "b"])
    good = load_evaluation(folder)

    def check(mutated: Mutated) -> None:
        (folder / FILE_NAME).write_bytes(mutated.content)
        stored = load_evaluation(folder)
        expect(np.array_equal(stored.average_precision, good.average_precision, equal_nan=True), "damage is used")

    return Prepared(((folder / FILE_NAME).read_bytes(),), check)


RESULT_TARGETS = (
    Target("submission", "text", 7000, _submission, is_parser=True),
    Target("coco-results", "json", 6000, _coco_results, is_parser=True),
    Target("predictions-jsonl", "text", 8000, _predictions, is_parser=True),
    Target("result-folder", "text", 5000, _result_folder),
    Target("training-log", "text", 2000, _log),
    Target("proposal-cache", "bytes", 3000, _proposals),
    Target("stored-evaluation", "bytes", 2000, _evaluation),
)
