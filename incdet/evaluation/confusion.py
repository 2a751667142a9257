"""The confusion matrix: the classes of detections over a threshold beside the classes of the objects there."""

import csv
import io
from dataclasses import dataclass

import numpy as np

from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.matching import assign_objects, find_pairs
from incdet.evaluation.rules import FALSE, TRUE, object_thresholds
from incdet.runtime.visible_text import table_cell

BACKGROUND_NAME = "background"


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Numbers of pairs of an object and a detection; the last row and the last column are the background.

    Attributes:
        class_names: The C classes.
        score_threshold: Lowest score of a detection that is counted.
        counts: [C + 1, C + 1] int64. Row: class of the object; the last row counts detections where no object is.
            Column: class of the detection; the last column counts objects that no detection found.
    """

    class_names: tuple[str, ...]
    score_threshold: float
    counts: np.ndarray

    @property
    def num_detections(self) -> int:
        """The number of detections over the threshold that count one way or the other."""
        return int(self.counts[:, :-1].sum())

    def confusions(self) -> list[tuple[str, str, int]]:
        """Returns the class of the object, the class of the detection, and their number, most frequent first.

        Right detections and the background are left out.
        """
        wrong = self.counts[:-1, :-1].copy()
        np.fill_diagonal(wrong, 0)
        rows, columns = np.nonzero(wrong)
        order = np.argsort(-wrong[rows, columns], kind="stable")
        return [
            (self.class_names[row], self.class_names[column], int(wrong[row, column]))
            for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
        ]

    def to_csv(self) -> str:
        """Returns the whole matrix as CSV, with a header and a first column of names."""
        names = [table_cell(name) for name in (*self.class_names, BACKGROUND_NAME)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["object \\ detection", *names])
        for name, row in zip(names, self.counts.tolist(), strict=True):
            writer.writerow([name, *row])
        return text.getvalue()


def confusion_matrix(evaluation: Evaluation, score_threshold: float) -> ConfusionMatrix:
    """Counts objects and detections over a threshold by their classes.

    The diagonal counts the detections that found an object under the evaluation's rules. Every other detection takes
    the object of another class that it overlaps most, if it overlaps it enough and nothing has taken it; the best score
    chooses first. Detections that are left are the background's, and so are objects. Detections and objects that count
    neither way are left out.

    Args:
        evaluation: The evaluation.
        score_threshold: Lowest score of a detection that is counted.
    """
    num_classes = len(evaluation.class_names)
    objects, detections = evaluation.objects, evaluation.detections
    shown = detections.scores >= score_threshold
    right = np.flatnonzero(shown & (evaluation.verdicts == TRUE))
    is_free = evaluation.is_required
    is_free[evaluation.matches[right]] = False
    false = np.flatnonzero(shown & (evaluation.verdicts == FALSE))
    # the best score chooses first
    false = false[np.argsort(-detections.scores[false], kind="stable")]
    free = np.flatnonzero(is_free)
    places = _assign(evaluation, false, free)
    is_confused = places >= 0
    taken = free[places[is_confused]]

    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    np.add.at(counts, (objects.class_ids[evaluation.matches[right]], detections.class_ids[right]), 1)
    np.add.at(counts, (objects.class_ids[taken], detections.class_ids[false[is_confused]]), 1)
    np.add.at(counts[-1], detections.class_ids[false[~is_confused]], 1)
    is_free[taken] = False
    np.add.at(counts[:, -1], objects.class_ids[is_free], 1)
    return ConfusionMatrix(evaluation.class_names, score_threshold, counts)


def _assign(evaluation: Evaluation, false: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Returns the place in `free` of the object that each false detection takes, -1 for none.

    Args:
        evaluation: The evaluation.
        false: Rows of false detections, best score first.
        free: Rows of the objects that no detection found, ascending.
    """
    objects, detections = evaluation.objects[free], evaluation.detections[false]
    pairs = find_pairs(
        detections.images,
        detections.boxes_inclusive,
        objects.images,
        objects.boxes_inclusive,
        object_thresholds(objects.boxes_inclusive, evaluation.rules, evaluation.iou_threshold),
    )
    # a detection on a free object of its own class is false for another reason: VOC lets it take its best object only
    is_other = detections.class_ids[pairs.detections] != objects.class_ids[pairs.objects]
    return assign_objects(pairs[is_other], len(false), len(free))
