"""Bilinear samples of warped crops by torch, on any device; `crop_kernels` has a kernel for CPUs that does the same."""

import torch
from torch import Tensor
from torch.nn import functional as F


def sample_crops(planes: Tensor, boxes_unit: Tensor, size: int) -> Tensor:
    """Bilinear samples of many boxes of one photo; zero outside the photo.

    Args:
        planes: [1, 3, H, W] float32, the photo.
        boxes_unit: [N, 4] float32, x1 y1 x2 y2 normalised to [0, 1] by the photo's width and height; values outside lie
            outside the photo, and a box whose left and right side are exchanged gives a mirrored crop.
        size: side S of the crops in pixels.

    Returns:
        [N, 3, S, S] float32, on the device of the planes.
    """
    # the centres of the crop's pixels, normalised to the photo: x [N, S] and y [N, S]
    steps = (torch.arange(size, device=planes.device) + 0.5) / size
    x = boxes_unit[:, 0:1] + (boxes_unit[:, 2:3] - boxes_unit[:, 0:1]) * steps
    y = boxes_unit[:, 1:2] + (boxes_unit[:, 3:4] - boxes_unit[:, 1:2]) * steps
    count = len(boxes_unit)
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=3)
    # expanded, not copied: every crop reads the same photo, and the threads share the crops
    photo = planes.expand(count, -1, -1, -1)
    crops = F.grid_sample(photo, grid * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)
    inside_x = ((x >= 0) & (x < 1))[:, None, None, :]
    inside_y = ((y >= 0) & (y < 1))[:, None, :, None]
    return crops * inside_x * inside_y
