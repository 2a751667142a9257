"""Outputs of networks that are no numbers, which damaged weights or ranges give without their files showing it."""

import numpy as np

from incdet.errors import WeightsError


def finite_probabilities(values: np.ndarray) -> np.ndarray:
    """Returns probabilities of any shape as they are.

    Raises:
        WeightsError: One of them is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise WeightsError(
            "the network's outputs are not finite; its weights are damaged, or the precision is too small for them: "
            "get a whole copy, or set scores.precision=float32"
        )
    return values
