"""Region pooling: the feature maps of a region, read out of those of the whole photo (SPP-net, Fast R-CNN).

A region gets the 14x14 cells that a crop of it would have before GoogLeNet's last max pooling, by RoIAlign (He et al.
2017, "Mask R-CNN"), and then that max pooling, so that the weights behind it meet the statistics that they know.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 14
"""Cells along each side of a region before the max pooling, as a crop of 224 pixels has."""

POOLED_SIZE = 7
"""Cells along each side of a region after the max pooling."""

CELL_STRIDE = 16.0
"""Distance between two cells of the feature maps after stage 4, in pixels of the photo."""

CELL_OFFSET = 14.5
"""Pixel of the photo at which cell 0 looks: Caffe's ceil-mode pooling pads nothing on the left, so that cell i looks
at pixel 16 i + 14.5, and not at the middle of the i-th 16 pixels."""


def regions_in_cells(boxes: np.ndarray, scale: np.ndarray, context: int, crop_size: int) -> np.ndarray:
    """Converts boxes to regions on the grid of the photo's feature maps, as crops of them would lie.

    A crop shows the box with `context` of its `crop_size` pixels on every side, so that the box is enlarged. The cells
    of a crop look at its pixels 16 i + 14.5, so the region moves by 6.5 of its `crop_size` pixels, and then each of its
    14 bins has a cell's pixel in its middle.

    Args:
        boxes: [R, 4] float32, xyxy pixels of the original photo.
        scale: [2] float32, factors by which the photo was resized along x and y.
        context: pixels of a crop on every side of the box.
        crop_size: side of a crop in pixels.

    Returns:
        [R, 4] float32, x1 y1 x2 y2 in cells; cell i lies at coordinate i.
    """
    low, high = np.split(boxes.astype(np.float64), 2, axis=1)
    half = (high - low) / 2 * (crop_size / (crop_size - 2 * context))
    # the middles of 14 equal bins lie at 16 i + 8 of the crop's pixels, those of its cells 6.5 pixels further
    middle_of_first_bin = crop_size / BINS / 2
    center = (low + high) / 2 + half * 2 * (CELL_OFFSET - middle_of_first_bin) / crop_size
    pixels = np.concatenate([center - half, center + half], axis=1) * np.tile(scale.astype(np.float64), 2)
    return ((pixels - CELL_OFFSET) / CELL_STRIDE).astype(np.float32)


def pool_regions(feature_maps: Tensor, regions: Tensor) -> Tensor:
    """Pools the feature maps of regions; gradients reach the feature maps.

    Args:
        feature_maps: [1, C, H, W] float32 or bfloat16, those of one photo.
        regions: [R, 4] float32 on the same device, as `regions_in_cells` returns them.

    Returns:
        [R, C, 7, 7] in the type of the feature maps, channels last in memory.
    """
    from torchvision.ops import roi_align

    cells = roi_align(feature_maps.float(), [regions], BINS, aligned=False)
    pooled = F.max_pool2d(cells, 3, 2, ceil_mode=True).to(feature_maps.dtype)
    return pooled.contiguous(memory_format=torch.channels_last)
