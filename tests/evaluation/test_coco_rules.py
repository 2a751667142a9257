"""COCO's numbers against pycocotools itself, called on files as its manual says."""

import copy
import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from running_tools import run_tool

from incdet.data.dataset import Dataset
from incdet.detections import Detections
from incdet.errors import PackageError
from incdet.evaluation.coco_documents import coco_annotations, coco_results_of
from incdet.evaluation.coco_rules import NUMBERS, evaluate_coco
from incdet.evaluation.columns import detection_columns
from incdet.evaluation.report import coco_table
from incdet.structures import GroundTruth

CATEGORIES = {44: "zebra", 3: "cat", 90: "bus", 1: "ant", 17: "only crowds", 60: "nothing"}
"""Ids neither ascending nor without gaps."""


@dataclass(frozen=True)
class Files:
    """A generated data set in COCO's layout, results on it, and what pycocotools says."""

    root: Path
    document: dict
    results: list
    stats: list

    @property
    def predictions(self):
        return self.root / "results.json"


def official(annotations: Path, results: Path, category=None):
    """The twelve numbers by pycocotools' own manual; of one category where it is given."""
    truth = COCO(str(annotations))
    judge = COCOeval(truth, truth.loadRes(str(results)), "bbox")
    if category is not None:
        judge.params.catIds = [category]
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge.stats.tolist()


def generated(num_images, seed):
    """(document, results): crowds, areas of all sizes that are not the boxes' own, tied scores, empty images."""
    generator = np.random.default_rng(seed)
    ids = (7 * generator.permutation(num_images) + 1).tolist()
    images = [{"id": image, "file_name": f"{image:05}.jpg", "width": 640, "height": 480} for image in ids]
    annotations, results = [], []
    for image in ids:
        for _ in range(int(generator.choice([0, 1, 2, 3, 8]))):
            largest = np.array([300, 200, 300, 250]) ** generator.random()
            box = (generator.random(4) * largest + 2).round(2)
            category = int(generator.choice([44, 3, 90, 1, 1, 1, 17]))
            flag = int(category == 17 or generator.random() < 0.08)
            area = float(box[2] * box[3] * generator.uniform(0.4, 1))
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": category})
            annotations[-1] |= {"bbox": box.tolist(), "area": area, "iscrowd": flag}
            for _ in range(int(generator.integers(0, 4))):
                moved = box + generator.normal(0, 0.08, 4) * np.tile(box[2:], 2)
                other = int(generator.choice(list(CATEGORIES))) if generator.random() < 0.1 else category
                score = round(generator.random(), 1)
                moved = moved.clip(0.5).round(3).tolist()
                results.append({"image_id": image, "category_id": other, "bbox": moved, "score": score})
    # more than the hundred that count
    crowded = generator.random((130, 4)) * 100 + 1
    results += [{"image_id": ids[0], "category_id": 1, "bbox": box.tolist(), "score": 0.7} for box in crowded]
    categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    order = generator.permutation(len(results)).tolist()
    return {"images": images, "annotations": annotations, "categories": categories}, [results[row] for row in order]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("coco")
    (root / "annotations").mkdir()
    document, results = generated(520, 0)
    annotations = root / "annotations" / "instances_val.json"
    annotations.write_text(json.dumps(document))
    (root / "results.json").write_text(json.dumps(results))
    return Files(root, document, results, official(annotations, root / "results.json"))


@pytest.fixture(scope="module")
def evaluation(files):
    return evaluate_coco(files.document, files.results)


@pytest.mark.slow
def test_the_twelve_numbers_are_pycocotools_own(files, evaluation):
    assert evaluation.numbers == dict(zip(NUMBERS, files.stats, strict=True))
    assert list(evaluation.numbers) == list(NUMBERS)
    assert 0.1 < min(files.stats) < max(files.stats) < 0.95, "the data set measures nothing"
    assert evaluation.mean_average_precision == files.stats[0]
    assert (evaluation.num_images, evaluation.num_detections) == (520, len(files.results))


def test_faster_coco_eval_gives_the_same_numbers(files, evaluation):
    pytest.importorskip("faster_coco_eval")
    faster = evaluate_coco(files.document, files.results, "faster-coco-eval")
    assert faster.numbers == pytest.approx(evaluation.numbers, rel=0, abs=1e-12)
    for name in ("average_precision", "recall"):
        assert getattr(faster, name) == pytest.approx(getattr(evaluation, name), rel=0, abs=1e-12, nan_ok=True)
    assert faster.num_objects.tolist() == evaluation.num_objects.tolist()


def test_every_class_keeps_its_name_and_number(files, evaluation):
    assert evaluation.class_names == tuple(CATEGORIES.values())
    annotations = files.root / "annotations" / "instances_val.json"
    for class_id, category in enumerate(list(CATEGORIES)[:4]):
        alone = official(annotations, files.predictions, category)
        assert evaluation.average_precision[class_id] == pytest.approx(alone[0], abs=1e-12)
        assert evaluation.recall[class_id] == pytest.approx(alone[8], abs=1e-12)
    assert len(set(evaluation.average_precision[:4].tolist())) == 4
    document = evaluation.to_json()
    assert document["ap"]["only crowds"] is document["ap"]["nothing"] is None
    assert document["ap"]["zebra"] == evaluation.average_precision[0]


def test_objects_are_counted_without_crowds(files, evaluation):
    wanted = [entry["category_id"] for entry in files.document["annotations"] if not entry["iscrowd"]]
    assert evaluation.num_objects.tolist() == [wanted.count(category) for category in CATEGORIES]
    assert evaluation.to_json()["num_ground_truth"] == len(wanted) < len(files.document["annotations"])


def test_mean_over_the_classes_is_coco_ap(evaluation):
    assert np.nanmean(evaluation.average_precision) == pytest.approx(evaluation.numbers["AP"], abs=1e-12)
    assert np.nanmean(evaluation.recall) == pytest.approx(evaluation.numbers["AR_100"], abs=1e-12)
    assert evaluation.median_average_precision == np.median(evaluation.average_precision[:4])


@pytest.fixture(scope="module")
def small():
    return generated(12, 3)


def test_what_a_document_leaves_out_is_completed(small):
    document, results = copy.deepcopy(small)
    for entry in document["annotations"]:
        entry |= {"iscrowd": 0, "area": entry["bbox"][2] * entry["bbox"][3]}
    expected = evaluate_coco(document, results)
    for missing in (["id"], ["iscrowd"], ["area"], ["id", "iscrowd", "area"]):
        bare = copy.deepcopy(document)
        for entry in bare["annotations"]:
            for key in missing:
                del entry[key]
        result = evaluate_coco(bare, results)
        assert result.numbers == expected.numbers
        assert result.num_objects.tolist() == expected.num_objects.tolist()
        assert set(bare) == set(document)


def test_an_annotation_may_have_the_id_0_or_that_of_another(small):
    document, results = copy.deepcopy(small)
    expected = evaluate_coco(document, results).numbers
    for ids in (range(len(document["annotations"])), [7] * len(document["annotations"])):
        for entry, number in zip(document["annotations"], ids, strict=True):
            entry["id"] = number
        assert evaluate_coco(document, results).numbers == expected


@pytest.mark.parametrize("backend", ["pycocotools", "faster-coco-eval"])
def test_neither_inputs_nor_stdout_are_touched(small, backend, capfd):
    if backend == "faster-coco-eval":
        pytest.importorskip("faster_coco_eval")
    before = copy.deepcopy(small)
    evaluate_coco(*small, backend)
    assert small == before
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("backend", ["pycocotools", "faster-coco-eval"])
def test_no_detections_give_zero_and_no_annotations_nothing(small, backend):
    if backend == "faster-coco-eval":
        pytest.importorskip("faster_coco_eval")
    document, results = small
    nothing_found = evaluate_coco(document, [], backend)
    assert (nothing_found.mean_average_precision, nothing_found.num_detections) == (0, 0)
    assert nothing_found.average_precision == pytest.approx([0, 0, 0, 0, math.nan, math.nan], nan_ok=True)
    assert nothing_found.num_objects[:4].all()
    for found in ([], results):
        nothing_wanted = evaluate_coco(document | {"annotations": []}, found, backend)
        assert set(nothing_wanted.numbers.values()) == {-1}
        plain = json.loads(json.dumps(nothing_wanted.to_json(), allow_nan=False))
        assert (plain["mAP"], plain["median_AP"], plain["num_ground_truth"]) == (None, None, 0)
        assert set(plain["ap"].values()) == {None}
        assert plain["num_detections"] == len(found)


def test_a_number_without_objects_is_shown_as_a_dash(evaluation):
    numbers = evaluation.numbers | {"AP_large": -1.0}
    table = coco_table(replace(evaluation, numbers=numbers))
    shown = dict(zip(*(column.cells for column in table.columns), strict=True))
    assert shown["AP_large"] == "-"
    assert shown["AP"] == f"{numbers['AP']:.4f}"


def test_backend_that_is_not_installed_is_named_with_its_remedy(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(PackageError, match=r"pip install 'incdet\[coco\]'"):
        evaluate_coco(*small, "faster-coco-eval")


def test_any_data_set_can_be_judged_as_coco():
    """One found exactly, one at IoU 0.6, one ignored, by classes whose ids are 7 and 2."""
    boxes = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 50, 250]], np.float32)
    truth = GroundTruth("a", 400, 300, boxes, np.array([0, 1, 1]), np.array([False, False, True]))
    dataset = Dataset("d", ("dog", "cat"), (Path("a.jpg"),), (truth,), ("a",), (7, 2))
    places = np.array([[0, 0, 100, 100], [200, 0, 300, 60], [0, 200, 50, 250]], np.float32)
    found = Detections(
        "a", 400, 300, places, np.array([0.9, 0.8, 0.85], np.float32), np.array([0, 1, 1]), ("dog", "cat")
    )
    results = coco_results_of(detection_columns([found]), dataset, [1])
    assert results[1] | {"score": 0.8} == {"image_id": 1, "category_id": 2, "bbox": [200, 0, 100, 60], "score": 0.8}
    evaluation = evaluate_coco(coco_annotations(dataset), results)
    # 0.6 reaches the thresholds 0.5, 0.55 and 0.6; the ignored one counts neither way
    assert evaluation.to_json()["ap"] == pytest.approx({"dog": 1, "cat": 0.3}, abs=1e-9)
    assert evaluation.num_objects.tolist() == [1, 1]


def judged_by_tool(files, predictions, *arguments):
    options = ["--dataset", "coco", "--root", files.root, "--predictions", predictions, "--json", "-"]
    result = run_tool("eval_map.py", *options, *arguments, folder=files.root)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_program_gives_pycocotools_numbers_for_a_results_file(files, evaluation):
    numbers = judged_by_tool(files, files.predictions)
    assert numbers["coco"] == dict(zip(NUMBERS, files.stats, strict=True))
    assert numbers["mAP"] == files.stats[0]
    assert numbers | {"seconds": 0} == evaluation.to_json() | {"dataset": f"{files.root.name} val", "seconds": 0}


def test_results_that_name_images_by_their_file_count_like_those_with_ids(files):
    names = {image["id"]: Path(image["file_name"]).stem for image in files.document["images"]}
    renamed = [entry | {"image_id": names[entry["image_id"]]} for entry in files.results]
    (files.root / "named.json").write_text(json.dumps(renamed))
    numbers = judged_by_tool(files, "named.json")
    assert numbers["num_detections"] == len(renamed)
    assert numbers["coco"] == dict(zip(NUMBERS, files.stats, strict=True))
