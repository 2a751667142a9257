"""Region pooling: the feature maps of a region, read out of those of the whole photo (SPP-net, Fast R-CNN).

A region gets the 14x14 cells that a crop of it would have before GoogLeNet's last max pooling, by RoIAlign (He et al.
2017, "Mask R-CNN"), and then that max pooling, so that the weights behind it meet the statistics that they know.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.ops.bilinear_taps import BINS
from incdet.ops.region_pooling_kernels import POOLED_SIZE, pool, pool_and_note, spread_gradient
from incdet.runtime.threads import split_among_threads

MIN_REGIONS_PER_THREAD = 4
"""With fewer regions, handing them to a thread takes longer than the thread saves."""

MIN_CHANNELS_PER_THREAD = 64
"""Threads that spread gradients take channels of their own; fewer would not fill the registers of a processor."""

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

    Each of 14x14 bins is the mean of ceil(its length) bilinear samples along each side. Samples more than one cell
    outside the feature maps are zero, and so are regions without area. A CPU uses kernels, which take less than a tenth
    of the time of stage 5 in float32 and in bfloat16; other devices use torchvision's operator.

    Args:
        feature_maps: [1, C, H, W] float32 or bfloat16, those of one photo.
        regions: [R, 4] float32 on the same device, as `regions_in_cells` returns them.

    Returns:
        [R, C, 7, 7] in the type of the feature maps, channels last in memory.
    """
    if feature_maps.device.type != "cpu":
        return pool_regions_by_torchvision(feature_maps, regions)
    if torch.is_grad_enabled() and feature_maps.requires_grad:
        pooled: Tensor = _PoolRegions.apply(feature_maps, regions)
        return pooled
    grid, pooled = _by_columns(feature_maps), _empty_pooled(feature_maps, regions)
    arrays = grid.numpy(), regions.numpy(), _in_memory(pooled)
    split_among_threads(
        lambda rows: pool(arrays[0], arrays[1][rows], arrays[2][rows]), len(regions), MIN_REGIONS_PER_THREAD
    )
    return pooled.to(feature_maps.dtype).permute(0, 3, 1, 2)


def pool_regions_by_torchvision(feature_maps: Tensor, regions: Tensor) -> Tensor:
    """Does the same as `pool_regions` by torchvision's operator, on any device."""
    # imported here, because the import takes seconds and a CPU needs none of it
    from torchvision.ops import roi_align

    # `aligned` takes half a cell off again; without it regions are stretched to at least one cell
    cells = roi_align(feature_maps.float(), [regions + 0.5], BINS, aligned=True)
    pooled = F.max_pool2d(cells, 3, 2, ceil_mode=True).to(feature_maps.dtype)
    return pooled.contiguous(memory_format=torch.channels_last)


class _PoolRegions(torch.autograd.Function):
    """Region pooling on a CPU with its gradient."""

    @staticmethod
    def forward(context: Any, feature_maps: Tensor, regions: Tensor) -> Tensor:
        grid, pooled = _by_columns(feature_maps), _empty_pooled(feature_maps, regions)
        origins = torch.empty(pooled.shape, dtype=torch.uint8)
        arrays = grid.numpy(), regions.numpy(), _in_memory(pooled), origins.numpy()
        split_among_threads(
            lambda rows: pool_and_note(arrays[0], arrays[1][rows], arrays[2][rows], arrays[3][rows]),
            len(regions),
            MIN_REGIONS_PER_THREAD,
        )
        context.save_for_backward(regions, origins)
        context.shape, context.dtype = feature_maps.shape, feature_maps.dtype
        return pooled.to(feature_maps.dtype).permute(0, 3, 1, 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        regions, origins = context.saved_tensors
        given = gradient.permute(0, 2, 3, 1).float().contiguous().numpy()
        _, channels, height, width = context.shape
        spread = np.empty((width, height, channels), np.float32)
        arrays = regions.numpy(), origins.numpy()

        def spread_some(some: slice) -> None:
            # copies, because the kernel is fast where channels lie side by side without gaps
            own = np.zeros((*spread.shape[:2], some.stop - some.start), np.float32)
            own_given, own_origins = (np.ascontiguousarray(array[..., some]) for array in (given, arrays[1]))
            spread_gradient(arrays[0], own_given, own_origins, own)
            spread[..., some] = own

        split_among_threads(spread_some, spread.shape[2], MIN_CHANNELS_PER_THREAD)
        return torch.from_numpy(spread).permute(2, 1, 0)[None].to(context.dtype), None


def _by_columns(feature_maps: Tensor) -> Tensor:
    """[1, C, H, W] of any type -> [W, H, C] float32, a contiguous copy."""
    _, channels, height, width = feature_maps.shape
    return torch.empty(width, height, channels).copy_(feature_maps.detach()[0].permute(2, 1, 0))


def _empty_pooled(feature_maps: Tensor, regions: Tensor) -> Tensor:
    """Memory [R, 7, 7, C] for pooled regions: bfloat16 for feature maps of that type, float32 for others."""
    shape = len(regions), POOLED_SIZE, POOLED_SIZE, feature_maps.shape[1]
    return torch.empty(shape, dtype=torch.bfloat16 if feature_maps.dtype == torch.bfloat16 else torch.float32)


def _in_memory(pooled: Tensor) -> np.ndarray:
    """The same memory as an array; NumPy has no bfloat16, so its bits are uint16."""
    if pooled.dtype == torch.bfloat16:
        return pooled.view(torch.int16).numpy().view(np.uint16)
    return pooled.numpy()
