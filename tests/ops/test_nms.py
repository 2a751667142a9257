"""Non-maximum suppression against torchvision's."""

import numpy as np
import pytest
import torch
from torchvision.ops import nms as torchvision_nms

from incdet.ops.nms import nms


def boxes_of(count, dtype, seed):
    """Boxes of many sizes around few places, some of them equal, some without a surface."""
    generator = np.random.default_rng(seed)
    centers, sides = generator.choice([20, 30, 60.0], (count, 2)), generator.exponential(20, (count, 2))
    boxes = np.concatenate([centers - sides / 2, centers + sides / 2], axis=1)
    boxes[::7] = boxes[generator.integers(0, count, len(boxes[::7]))]
    boxes[::11, 2] = boxes[::11, 0]
    return boxes.round(1).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("count", [1, 2, 40, 700])
def test_the_same_boxes_are_kept_as_by_torchvision(count, threshold, dtype):
    boxes = boxes_of(count, dtype, seed=count)
    scores = torch.arange(count, 0, -1, dtype=torch.float64)
    expected = torchvision_nms(torch.from_numpy(boxes), scores.to(torch.from_numpy(boxes).dtype), threshold).tolist()
    assert nms(boxes, threshold).tolist() == expected
    for limit in (0, 1, 3, count + 1):
        assert nms(boxes, threshold, limit).tolist() == expected[:limit]
    assert count < 40 or threshold == 1 or 1 < len(expected) < count


def test_no_boxes():
    assert nms(np.zeros((0, 4), np.float32), 0.5).tolist() == []


def test_an_overlap_of_just_the_threshold_is_no_reason():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 3], [0, 0, 10, 3.0001]])
    assert nms(boxes, 0.3).tolist() == [0, 1]
    assert nms(boxes[[0, 2]], 0.3).tolist() == [0]
