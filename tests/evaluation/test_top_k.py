"""Top-k accuracy."""

import numpy as np

from incdet.evaluation.top_k import top_k_accuracy


def test_accuracy_counts_the_k_best():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.0, 0.0, 1.0]])
    truth = np.array([2, 1, 1, 0])
    assert top_k_accuracy(probabilities, truth, 1) == 0.25
    # of equal probabilities the lower class id is the better guess
    assert top_k_accuracy(probabilities, truth, 2) == 0.75
    assert top_k_accuracy(probabilities, truth, 3) == 1
