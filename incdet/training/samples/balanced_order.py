"""The order of a training's photos where photos of rare classes come more often than others."""

from collections.abc import Sequence

import numpy as np

from incdet.structures import GroundTruth


def photo_weights(truths: Sequence[GroundTruth], class_weights: np.ndarray) -> np.ndarray:
    """Returns the weight [N] float64 of every photo: the mean of those of its objects' classes.

    A photo without objects, which gives nothing but background, has the mean weight of the others.

    Args:
        truths: annotations of the N photos; ignored objects do not count.
        class_weights: [C] float64, weight of an object of each class.
    """
    weights = np.full(len(truths), np.nan)
    for index, truth in enumerate(truths):
        own = truth.class_ids[~truth.ignored]
        if len(own):
            weights[index] = class_weights[own].mean()
    has_objects = np.isfinite(weights)
    return np.where(has_objects, weights, weights[has_objects].mean() if has_objects.any() else 1.0)


def balanced_order(weights: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draws the photos of an epoch, as many as there are photos, each about as often as its weight asks.

    Systematic sampling: the photos lie side by side on a line, each as long as its weight, and are hit by points at
    equal distances. A photo of the mean weight is thus drawn once, one of twice that weight twice, and the number of
    times differs from what the weight asks by less than one.

    Args:
        weights: [N] float64, weight of every photo; at least one is above 0.
        generator: source of everything random.

    Returns:
        [N] int64, indices of photos in random order.
    """
    order = generator.permutation(len(weights))
    ends = np.cumsum(weights[order])
    points = (np.arange(len(weights)) + generator.random()) / len(weights) * ends[-1]
    # rounding must not let the last point lie behind the last photo
    hit = np.minimum(np.searchsorted(ends, points, side="right"), len(weights) - 1)
    return generator.permutation(order[hit])
