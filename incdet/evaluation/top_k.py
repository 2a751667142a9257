"""Top-k accuracy of whole-image classification."""

import numpy as np


def top_k_accuracy(probabilities: np.ndarray, class_ids: np.ndarray, k: int) -> float:
    """Returns the share of images whose class is among the k most probable ones.

    Args:
        probabilities: [N, C] float32.
        class_ids: [N] int64, the true classes.
        k: Number of guesses that count.

    >>> top_k_accuracy(np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]), np.array([2, 0]), 1)
    0.5
    """
    # the stable sort ranks equal probabilities by class id
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == class_ids[:, None]).any(axis=1).mean())
