"""Linear SVMs on the last features of a region classifier, which R-CNN uses in place of softmax (appendix B)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from incdet.errors import DataError
from incdet.ops.boxes import box_iou
from incdet.structures import GroundTruth, Image, Proposals

BACKGROUND_IOU = 0.3
"""Jaccard index with every object of a class below which a region is a negative example of that class (R-CNN)."""

POSITIVE_WEIGHT = 2.0
"""Factor by which an error on an object costs more than one on background (R-CNN's code)."""

FEATURE_NORM = 20.0
"""Mean Euclidean norm to which features are scaled (R-CNN's code)."""

COSTS = (1e-4, 1e-3, 1e-2)
"""Costs of errors, relative to large weights, that are tried; R-CNN's is 1e-3."""

MAX_STEPS = 200
"""Largest number of steps of the quasi-Newton method."""

HELD_OUT = 5
"""Every fifth photo is held out to choose the cost."""

NEAR_SHARE = 0.5
"""Share of a photo's drawn proposals that touch an object, where there are enough of those."""

NEAR_IOU = 0.1
"""Smallest Jaccard index with an object at which a proposal touches it."""


@dataclass(frozen=True, eq=False)
class SvmExamples:
    """Regions with their features and labels.

    Attributes:
        features: [R, F] float16, the input of the classifier's last layer.
        labels: [R, C] int8; 1 is an object of the class, -1 is none, 0 is left out.
        photos: [R] int64, number of the photo that each region comes from.
    """

    features: Tensor
    labels: np.ndarray
    photos: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "SvmExamples":
        return SvmExamples(self.features[torch.from_numpy(rows)], self.labels[rows], self.photos[rows])


@dataclass(frozen=True, eq=False)
class Svms:
    """One linear SVM for each class.

    Attributes:
        weight: [F, C] float32.
        bias: [C] float32.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Signed distances [R, C] of features [R, F] from the separating planes; above 0 is the class."""
        return features.float() @ self.weight + self.bias


def collect_examples(
    features_of: Callable[[Image, np.ndarray], Tensor],
    photos: Iterable[tuple[Image, GroundTruth, Proposals]],
    num_classes: int,
    per_photo: int,
    seed: int,
) -> SvmExamples:
    """Examples of every photo: the boxes of its objects, and proposals drawn at random.

    Args:
        features_of: function of a photo and boxes [R, 4] that returns [R, F] float16.
        photos: the photos, their objects and their proposals.
        num_classes: C.
        per_photo: number of proposals drawn from each photo.
        seed: seed of the drawing.

    Raises:
        DataError: the photos show no object.
    """
    generator = np.random.default_rng(seed)
    columns: list[tuple[Tensor, np.ndarray, np.ndarray]] = []
    for number, (image, annotated, proposals) in enumerate(photos):
        truth = annotated.rescaled(image.width, image.height)
        own = truth.boxes[~truth.ignored]
        boxes = np.concatenate([own, _draw(truth, proposals.boxes, per_photo, generator)])
        if len(boxes):
            labels = svm_labels(boxes, truth, num_classes)
            columns.append((features_of(image, boxes), labels, np.full(len(boxes), number)))
    if not any((labels > 0).any() for _, labels, _ in columns):
        raise DataError("these photos show no object to learn from; give more of them, or check the annotations")
    features, label_columns, numbers = zip(*columns, strict=True)
    return SvmExamples(torch.cat(features), np.concatenate(label_columns), np.concatenate(numbers))


def _draw(truth: GroundTruth, boxes: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    overlaps = box_iou(boxes, truth.boxes).max(axis=1, initial=0)
    near = np.flatnonzero(overlaps >= NEAR_IOU)
    chosen = generator.permutation(near)[: round(count * NEAR_SHARE)]
    others = np.setdiff1d(np.arange(len(boxes)), chosen)
    return boxes[np.concatenate([chosen, generator.permutation(others)[: count - len(chosen)]])]


def svm_labels(boxes: np.ndarray, truth: GroundTruth, num_classes: int) -> np.ndarray:
    """Labels [R, C] int8 of boxes [R, 4] as R-CNN gives them.

    1 is the box of an object itself, -1 a box that overlaps no object of the class by `BACKGROUND_IOU`. Boxes between
    the two are left out (0), and so are ignored objects and boxes that overlap them.
    """
    labels = np.full((len(boxes), num_classes), -1, np.int8)
    overlaps = box_iou(boxes, truth.boxes)
    for column, class_id in enumerate(truth.class_ids):
        labels[overlaps[:, column] >= BACKGROUND_IOU, class_id] = 0
    for box, class_id in zip(truth.boxes[~truth.ignored], truth.class_ids[~truth.ignored], strict=True):
        labels[(boxes == box).all(axis=1), class_id] = 1
    return labels


def fit_svms(examples: SvmExamples, costs: Sequence[float] = COSTS) -> tuple[Svms, dict[float, float]]:
    """Fits SVMs to all examples with the cost that gives the smallest loss on held-out photos.

    Returns:
        The SVMs, and the mean loss on the held-out photos for each cost.

    Raises:
        DataError: no photo is left to hold out or to learn from.
    """
    held_out = examples.photos % HELD_OUT == 0
    if held_out.all() or not held_out.any():
        raise DataError("too few photos to hold some out; give more of them")
    learnt, judged = examples[np.flatnonzero(~held_out)], examples[np.flatnonzero(held_out)]
    losses = {}
    for cost in costs:
        losses[cost] = float(_losses(_fit(learnt, cost)(judged.features).numpy(), judged.labels)[0].mean())
    return _fit(examples, min(costs, key=lambda cost: losses[cost])), losses


def _losses(margins: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared hinge losses [R, C] and their slopes; the square makes them smooth, as liblinear's default does."""
    missing = (1 - labels * margins).clip(min=0)
    weights = abs(labels) * np.where(labels > 0, POSITIVE_WEIGHT, 1.0)
    return weights * missing**2, -2 * weights * labels * missing


def _fit(examples: SvmExamples, cost: float) -> Svms:
    """Minimises half the squared weights plus `cost` times all losses, for all classes at once."""
    features = examples.features.float().numpy()
    scale = FEATURE_NORM / np.linalg.norm(features, axis=1).mean()
    # a last feature that is always 1 stands for the bias, which is not penalised
    features = np.concatenate([features * scale, np.ones((len(features), 1), np.float32)], axis=1)
    shape = features.shape[1], examples.labels.shape[1]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        losses, slopes = _losses(features @ weights.astype(np.float32), examples.labels)
        gradient = cost * (features.T @ slopes.astype(np.float32)).astype(np.float64)
        gradient[:-1] += weights[:-1]
        return float(np.square(weights[:-1]).sum() / 2 + cost * losses.sum()), gradient.ravel()

    best = minimize(objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS})
    weights = torch.from_numpy(best.x.reshape(shape).astype(np.float32))
    return Svms(weights[:-1] * scale, weights[-1])
