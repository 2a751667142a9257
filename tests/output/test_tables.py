"""Tables for the terminal."""

import io

import pytest
from detection_samples import detections
from rich.console import Console

from incdet.output.tables import summary_table, timing_table
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


def test_seconds_of_photos_with_different_stages_are_told_together():
    screen = io.StringIO()
    # a photo without regions has none to classify
    Console(width=120, file=screen).print(timing_table([{"proposals": 1.0}, {"proposals": 2.0, "scores": 3.0}]))
    numbers = {row[1]: row[3] for row in (line.split() for line in screen.getvalue().splitlines()) if len(row) > 3}
    assert numbers == numbers | {"proposals": "1.500", "scores": "1.500", "total": "3.000"}
