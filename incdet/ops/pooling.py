"""Max pooling as GoogLeNet needs it, fast on CPUs too."""

import torch
from torch import Tensor
from torch.nn import functional as F


def max_pool(maps: Tensor, size: int, stride: int) -> Tensor:
    """Maxima over windows: with stride 1 as many as there are pixels, otherwise rounded up, as in Caffe.

    Where no gradient is asked for, a CPU takes the maximum of shifted maps, along one side and then the other: torch's
    own loop goes value by value, to know where each maximum was, and takes a third of GoogLeNet's time.

    Args:
        maps: [B, channels, H, W]; with another stride than 1, no side smaller than the windows but for one pixel.
        size: of the windows, in pixels; odd with stride 1.
        stride: between them.

    >>> max_pool(torch.arange(5.0).reshape(1, 1, 1, 5).expand(1, 1, 5, 5), 2, 2)[0, 0, 0].tolist()
    [1.0, 3.0, 4.0]
    """
    padding = size // 2 if stride == 1 else 0
    if maps.device.type != "cpu" or maps.requires_grad:
        return F.max_pool2d(maps, size, stride, padding, ceil_mode=True)
    return _along(_along(maps, 2, size, stride, padding), 3, size, stride, padding)


def _along(maps: Tensor, side: int, size: int, stride: int, padding: int) -> Tensor:
    """The maxima over windows along one side of the maps."""
    length = maps.shape[side]
    windows = length if stride == 1 else -(-(length - size) // stride) + 1

    def seen(first: int, last: int, offset: int) -> Tensor:
        """Of each window from the first to the last, the pixel at this offset."""
        pixels = slice(first * stride + offset, last * stride + offset + 1, stride)
        return maps[(slice(None),) * side + (pixels,)]

    # every window has the pixel at offset 0, all but perhaps the last one that at 1
    middle, last = seen(0, windows - 1, 0), min(windows - 1, (length - 2) // stride)
    largest = torch.empty_like(middle)
    torch.maximum(seen(0, last, 0), seen(0, last, 1), out=largest.narrow(side, 0, last + 1))
    if last < windows - 1:
        largest.select(side, -1).copy_(middle.select(side, -1))
    for offset in (*range(-padding, 0), *range(2, size - padding)):
        first, last = -min(offset, 0), min(windows - 1, (length - 1 - offset) // stride)
        own = largest.narrow(side, first, last - first + 1)
        torch.maximum(own, seen(first, last, offset), out=own)
    return largest
