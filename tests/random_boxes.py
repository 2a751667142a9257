"""Random boxes for tests."""

import numpy as np
import torch


def random_unit_boxes(count, seed=0, dtype=torch.float64):
    """[count, 4] tensor, corners normalised to [0, 1], none of them empty."""
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 1e-3], dim=1)


def random_pixel_boxes(generator, count, min_side=5.0):
    """[count, 4] float32, xyxy pixels between 0 and 100, sides between `min_side` and 50."""
    corner, sides = generator.uniform(0, 50, (count, 2)), generator.uniform(min_side, 50, (count, 2))
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
