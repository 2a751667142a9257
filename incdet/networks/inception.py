"""The pieces GoogLeNet is made of: convolution + ReLU, local response normalisation, the Inception module."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InceptionWidths(NamedTuple):
    """One row of the paper's Table 1: the number of filters of every convolution of a module."""

    conv_1x1: int
    reduce_3x3: int
    conv_3x3: int
    reduce_5x5: int
    conv_5x5: int
    pool_projection: int

    @property
    def output(self) -> int:
        """Channels that leave the module: the four branches, concatenated."""
        return self.conv_1x1 + self.conv_3x3 + self.conv_5x5 + self.pool_projection


class ConvReLU(nn.Conv2d):
    """Convolution with bias that keeps the size (stride 1) and is followed by ReLU; Xavier weights, bias 0.2.

    The paper states no initialisation; these are Caffe's.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.constant_(self.bias, 0.2)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input), inplace=True)


class _Normalise(torch.autograd.Function):
    """Response normalisation and its derivative, with one map kept between the two."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, band: Tensor, k: float) -> Tensor:
        scale = F.conv2d(maps.square(), band).add_(k)
        # scale ** -0.75 with two square roots, which vectorise where a power does not
        power = scale.sqrt().mul_(scale).rsqrt_()
        ctx.save_for_backward(maps, scale, band)
        return power.mul_(maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        maps, scale, band = ctx.saved_tensors
        direct = scale.sqrt().mul_(scale).rsqrt_().mul_(gradient)
        indirect = F.conv2d((direct * maps).div_(scale), band).mul_(maps)
        return direct.sub_(indirect, alpha=1.5), None, None


class LocalResponseNorm(nn.Module):
    """Response normalisation across channels: x / (k + alpha / size * sum of squares over `size` channels) ** 0.75.

    The paper gives no constants; these are Caffe's, which divides alpha by the size as torch does and TensorFlow does
    not. The windowed sum is a product with a band matrix: several times faster than `F.local_response_norm`, which pads
    and pools in three dimensions.
    """

    def __init__(self, channels: int, size: int = 5, alpha: float = 1e-4, k: float = 1.0):
        super().__init__()
        self.k = k
        distance = torch.arange(channels)[:, None] - torch.arange(channels)[None, :]
        band = (distance.abs() <= size // 2).float() * (alpha / size)
        self.register_buffer("band", band[:, :, None, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same shape and dtype."""
        return _Normalise.apply(maps, self.get_buffer("band").to(maps.dtype), self.k)


class Inception(nn.Module):
    """The Inception module with dimension reductions, Figure 2(b) of the paper."""

    def __init__(self, in_channels: int, widths: InceptionWidths):
        super().__init__()
        self.conv_1x1 = ConvReLU(in_channels, widths.conv_1x1, 1)
        self.reduce_3x3 = ConvReLU(in_channels, widths.reduce_3x3, 1)
        self.conv_3x3 = ConvReLU(widths.reduce_3x3, widths.conv_3x3, 3)
        self.reduce_5x5 = ConvReLU(in_channels, widths.reduce_5x5, 1)
        self.conv_5x5 = ConvReLU(widths.reduce_5x5, widths.conv_5x5, 5)
        self.pool_projection = ConvReLU(in_channels, widths.pool_projection, 1)

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, widths.output, H, W]; the three 1x1 convolutions of the input run as one."""
        shared = (self.conv_1x1, self.reduce_3x3, self.reduce_5x5)
        weight = torch.cat([convolution.weight for convolution in shared])
        bias = torch.cat([convolution.bias for convolution in shared if convolution.bias is not None])
        reduced = F.relu(F.conv2d(input, weight, bias), inplace=True)
        conv_1x1, reduce_3x3, reduce_5x5 = torch.split(reduced, [conv.out_channels for conv in shared], dim=1)
        pooled = F.max_pool2d(input, 3, stride=1, padding=1)
        branches = (conv_1x1, self.conv_3x3(reduce_3x3), self.conv_5x5(reduce_5x5), self.pool_projection(pooled))
        return torch.cat(branches, dim=1)
