"""Tables for the terminal."""

import io

import pytest
from detection_samples import detections
from rich.console import Console

from incdet.output.tables import summary_table
from incdet.output.writers import best_below, detections_json


def shown(lines):
    screen = io.StringIO()
    Console(width=120, file=screen).print(summary_table(lines, "detections"))
    return screen.getvalue()


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.69, "Nothing from 0.75 on; the best is dog 0.69: try --score-threshold 0.5."),
        (0.7499, "Nothing from 0.75 on; the best is dog 0.7499: try --score-threshold 0.5."),
        (0.31, "Nothing from 0.75 on; the best is dog 0.31: try --score-threshold 0.3."),
        (0.3695, "Nothing from 0.75 on; the best is dog 0.37: try --score-threshold 0.3."),
        (0.2996, "Nothing from 0.75 on; the best is dog 0.2996: try --score-threshold 0.2."),
        (0.1253, "Nothing likely was found: the best is dog 0.13."),
    ],
)
def test_a_photo_without_detections_says_how_near_the_best_came(score, words):
    found = detections([[0, 0, 5, 5], [0, 0, 5, 5]], [score, 0.01], [1, 2])
    line = detections_json(found[:0]) | {"best_below": best_below(found, 0.75)}
    assert words in shown([line])


def test_a_photo_with_detections_names_the_best_and_one_without_any_says_nothing():
    text = shown([detections_json(detections([[0, 0, 5, 5]], [0.9], [1])), detections_json(detections([], [], []))])
    assert "dog 0.90" in text
    assert "Nothing" not in text
