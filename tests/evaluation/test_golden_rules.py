"""AP under the rules of the development kits against numbers that are kept in a file (its header says their origin)."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from incdet.evaluation.average_precision import Evaluation, evaluate_columns
from incdet.evaluation.columns import DetectionColumns, ObjectColumns

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "evaluation_rules.json").read_text())
EXACT = {"rel": 0, "abs": 1e-12}


def evaluate_golden(rules) -> Evaluation:
    """Evaluates the detections of the file."""
    objects, detections = np.array(GOLDEN["objects"], np.float64), np.array(GOLDEN["detections"], np.float64)
    return evaluate_columns(
        tuple(GOLDEN["class_names"]),
        GOLDEN["num_images"],
        ObjectColumns(
            objects[:, 0].astype(np.int64), objects[:, 1].astype(np.int64), objects[:, 2:6], objects[:, 6] == 1
        ),
        DetectionColumns(
            detections[:, 0].astype(np.int64), detections[:, 1].astype(np.int64), detections[:, 2], detections[:, 3:]
        ),
        rules,
        [tuple(pair) for pair in GOLDEN["blacklist of image and class id"]] if rules == "ilsvrc" else (),
    )


def assert_golden(rules) -> None:
    evaluation, expected = evaluate_golden(rules), GOLDEN["expected"][rules]
    for class_id, (name, numbers) in enumerate(expected["classes"].items()):
        assert evaluation.num_objects[class_id] == numbers["num_required"], name
        for got, wanted in (
            (evaluation.average_precision[class_id], numbers["AP"]),
            (evaluation.recall[class_id], numbers["recall"]),
        ):
            assert got == pytest.approx(math.nan if wanted is None else wanted, nan_ok=True, **EXACT), name
    assert evaluation.mean_average_precision == pytest.approx(expected["mAP"], **EXACT)


def test_ilsvrc_rules():
    assert_golden("ilsvrc")


def test_voc_rules():
    assert_golden("voc")


def test_voc_2007_rules():
    assert_golden("voc07")


@pytest.mark.parametrize("rules", ["ilsvrc", "voc", "voc07"])
def test_hard_cases_as_calculated_by_hand(rules):
    evaluation = evaluate_golden(rules)
    for class_id, (name, fraction) in enumerate(GOLDEN["by_hand"][rules].items()):
        wanted = math.nan if fraction is None else float(Fraction(fraction))
        assert evaluation.average_precision[class_id] == pytest.approx(wanted, nan_ok=True, **EXACT), name


def test_the_rules_differ_on_the_mixed_classes():
    """Numbers that were equal under all rules would not tell them apart."""
    for number in range(4):
        values = {rules: GOLDEN["expected"][rules]["classes"][f"mixed {number}"]["AP"] for rules in GOLDEN["expected"]}
        assert len(set(values.values())) == 3
        assert all(0 < value < 1 for value in values.values())
