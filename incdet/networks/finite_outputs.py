"""Outputs of networks that are no numbers, which damaged weights or ranges give without their files showing it."""

import numpy as np
from torch import Tensor

from incdet.errors import WeightsError


def require_finite(*outputs: np.ndarray | Tensor) -> None:
    """Makes sure that probabilities and boxes are numbers.

    Args:
        outputs: Arrays of any shape, or tensors on the CPU.

    Raises:
        WeightsError: One of them holds NaN or infinity.
    """
    for values in outputs:
        if not np.isfinite(np.asarray(values)).all():
            raise WeightsError(
                "the network's outputs are not finite; its weights are damaged, or the precision is too small for "
                "them: get a whole copy, or set scores.precision=float32"
            )
