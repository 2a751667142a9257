"""The scene: the photo as a whole tells which classes to expect in it.

A region that looks like a boat is one more often on a lake than in a kitchen. The paper's authors give their next
detector features of the whole photo, too (Szegedy et al. 2014, "Scalable, High-Quality Object Detection"), and learn
how much they count; here one exponent says it. They call this context, a word that stands for the surroundings in a
crop elsewhere in this package.
"""

import numpy as np

from incdet.structures import Image

MIN_SCENE_PROBABILITY = 1e-3
"""Lowest probability of a class in the scene that is told from lower ones. A network that is sure of one class says
nothing reliable about how improbable the others are."""

VIEWS = np.array(
    [
        [0, 0, 1, 1],
        [1 / 6, 1 / 6, 5 / 6, 5 / 6],
        [0, 0, 2 / 3, 2 / 3],
        [1 / 3, 0, 1, 2 / 3],
        [0, 1 / 3, 2 / 3, 1],
        [1 / 3, 1 / 3, 1, 1],
    ]
)
"""The whole photo, its middle and its corners: x1 y1 x2 y2, as parts of the photo's width and height. The
smaller views show other objects than the largest one, which takes nearly all of the probability of the whole photo."""


def scene_views(image: Image) -> np.ndarray:
    """Returns the regions that show the scene: [V, 4] float32, xyxy pixels of the photo."""
    return (VIEWS * [image.width, image.height, image.width, image.height]).astype(np.float32)


def scene_factors(probabilities: np.ndarray, exponent: float) -> np.ndarray:
    """Returns the factors by which a photo's probabilities of the classes fall, because the scene shows other classes.

    The class that the scene shows best keeps its probabilities. Another class loses as it is less probable in the
    scene: with an exponent of 0.1, a class that is ten times less probable keeps 0.79 of them.

    >>> scene_factors(np.array([[0.8, 0.1, 0.0], [0.6, 0.3, 0.0]]), 1.0).astype(float).round(4).tolist()
    [1.0, 0.2857, 0.0014]

    Args:
        probabilities: [V, C] float32, what a network says of each view.
        exponent: the weight of the scene, from 0 (none) on.

    Returns:
        [C] float32 in (0, 1].
    """
    # [C], the mean over the views, so that an object in one corner is found, too
    scene = np.maximum(probabilities.mean(axis=0), MIN_SCENE_PROBABILITY)
    # the best class has a ratio of 1
    factors: np.ndarray = (scene / scene.max()) ** exponent
    return factors.astype(np.float32)
