"""Evaluations of small photos with a data set, for tests of reports."""

from pathlib import Path

import numpy as np
from evaluations import evaluate

from incdet.data.dataset import Dataset
from incdet.evaluation.average_precision import Evaluation
from incdet.structures import GroundTruth

A, B, FAR = (0, 0, 99, 99), (100, 0, 199, 99), (200, 100, 249, 149)
PHOTOS = [
    # class 0 is found, and once imagined; class 1 is missed in the first photo and misplaced in the second
    ([(0, A, False), (1, B, False)], [(0, A, 0.9), (0, FAR, 0.8)]),
    ([(1, A, False)], [(1, (0, 0, 99, 29), 0.7)]),
]


def dataset_of(evaluation, folder, names=None):
    """A data set of the evaluation's images, 250 x 150 each; its photos lie in the folder, if anywhere."""
    names = names or [f"photo{number}" for number in range(evaluation.num_images)]
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    truths = tuple(GroundTruth(name, 250, 150, *nothing) for name in names)
    paths = tuple(Path(folder) / f"{number}.jpg" for number in range(len(names)))
    classes = evaluation.class_names
    return Dataset("pets val", classes, paths, truths, tuple(names), tuple(range(1, len(classes) + 1)))


def evaluation_of(photos, class_names, rules="voc"):
    evaluation = evaluate(photos, len(class_names), rules)
    values = {name: getattr(evaluation, name) for name in evaluation.__dataclass_fields__}
    return Evaluation(**values | {"class_names": tuple(class_names)})
