"""Max pooling as GoogLeNet needs it, fast on CPUs too."""

import torch
from torch import Tensor
from torch.nn import functional as F


def max_pool(feature_maps: Tensor, size: int, stride: int) -> Tensor:
    """Maxima over square windows.

    With stride 1 there is a window around every pixel. With another stride the number of windows is rounded up, as in
    Caffe (ceil mode), so that the last window may reach beyond the border.

    Where no gradient is asked for, a CPU takes the maximum of shifted feature maps, along one axis and then the other.
    torch's own loop goes value by value, because it also finds the place of each maximum, and takes a third of
    GoogLeNet's time.

    Args:
        feature_maps: [B, C, H, W] of any type; with another stride than 1, a side may be one pixel smaller than the
            windows, but not more.
        size: side of the windows, in pixels; odd with stride 1.
        stride: distance between the windows, in pixels.

    Returns:
        [B, C, h, w] in the type of the feature maps; h and w are H and W with stride 1, and otherwise
        ceil((H - size) / stride) + 1 and the same of W.

    >>> max_pool(torch.arange(5.0).reshape(1, 1, 1, 5).expand(1, 1, 5, 5), 2, 2)[0, 0, 0].tolist()
    [1.0, 3.0, 4.0]
    """
    padding = size // 2 if stride == 1 else 0
    if feature_maps.device.type != "cpu" or feature_maps.requires_grad:
        return F.max_pool2d(feature_maps, size, stride, padding, ceil_mode=True)
    # the maximum over a square is the maximum over its columns of the maxima along them
    columns = _max_along(feature_maps, 2, size, stride, padding)
    return _max_along(columns, 3, size, stride, padding)


def _max_along(feature_maps: Tensor, axis: int, size: int, stride: int, padding: int) -> Tensor:
    """Maxima over windows along one axis.

    Args:
        feature_maps: [B, C, H, W].
        axis: 2 for windows along H, 3 for windows along W.
        size: length of the windows.
        stride: distance between the windows.
        padding: number of pixels by which the first window begins before the border.
    """
    length = feature_maps.shape[axis]
    # with a stride above 1: ceil((length - size) / stride) + 1
    num_windows = length if stride == 1 else -(-(length - size) // stride) + 1

    def pixels_at(offset: int, first: int, last: int) -> Tensor:
        """The pixel at this offset of each window from the first to the last; a view, which copies nothing."""
        pixels = slice(first * stride + offset, last * stride + offset + 1, stride)
        return feature_maps[(slice(None),) * axis + (pixels,)]

    # the maximum of the first two pixels makes the result: every window has the pixel at offset 0, and all but perhaps
    # the last one have that at offset 1
    at_start, last = pixels_at(0, 0, num_windows - 1), min(num_windows - 1, (length - 2) // stride)
    maxima = torch.empty_like(at_start)
    torch.maximum(pixels_at(0, 0, last), pixels_at(1, 0, last), out=maxima.narrow(axis, 0, last + 1))
    if last < num_windows - 1:
        maxima.select(axis, -1).copy_(at_start.select(axis, -1))
    # every other offset is compared for those windows that have it inside the feature maps
    for offset in (*range(-padding, 0), *range(2, size - padding)):
        first, last = -min(offset, 0), min(num_windows - 1, (length - 1 - offset) // stride)
        covered = maxima.narrow(axis, first, last - first + 1)
        torch.maximum(covered, pixels_at(offset, first, last), out=covered)
    return maxima
