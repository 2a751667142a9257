"""Local response normalisation (Krizhevsky et al. 2012), which GoogLeNet has after its first and second stage."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.ops.normalisation import normalise_on_cpu


class LocalResponseNorm(nn.Module):
    """Response normalisation across channels: x / (k + alpha / size * sum of squares over `size` channels) ** 0.75.

    The paper gives no constants. These are Caffe's: size 5, alpha 1e-4, beta 0.75, k 1. Caffe and torch divide alpha by
    the size; TensorFlow does not. Where a gradient is needed, and on a GPU, the windowed sum is a product with a band
    matrix, several times faster than `F.local_response_norm`, which pads and pools in three dimensions.

    Args:
        channels: number of channels.
        size: number of channels in a window, odd.
        alpha: factor of the mean square.
        k: constant that is added to it.
    """

    def __init__(self, channels: int, size: int = 5, alpha: float = 1e-4, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.k = size, alpha, k
        # [channels, channels]: alpha / size where two channels lie in one window, 0 elsewhere
        # on the CPU even where the layers with weights are made without memory, see `load_network`
        numbers = torch.arange(channels, device="cpu")
        distance = numbers[:, None] - numbers[None, :]
        band = (distance.abs() <= size // 2).float() * (alpha / size)
        # as weights of a 1x1 convolution; follows from the constants, so it is not stored with the weights
        self.register_buffer("band", band[:, :, None, None], persistent=False)

    def forward(self, feature_maps: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same shape and dtype."""
        on_cpu = feature_maps.device.type == "cpu" and feature_maps.dtype in (torch.float32, torch.bfloat16)
        if on_cpu and not feature_maps.requires_grad:
            return normalise_on_cpu(feature_maps, self.size, self.alpha, self.k)
        return _Normalise.apply(feature_maps, self.get_buffer("band").to(feature_maps), self.k)


class _Normalise(torch.autograd.Function):
    """Response normalisation and its derivative; between the two it keeps the input and one tensor of its size."""

    @staticmethod
    def forward(ctx: Any, feature_maps: Tensor, band: Tensor, k: float) -> Tensor:
        # scale = k + alpha / size * windowed sum of squares, [B, channels, H, W]
        scale = F.conv2d(feature_maps.square(), band).add_(k)
        # scale ** -0.75 = 1 / sqrt(scale * sqrt(scale)): two square roots vectorise where a power does not
        power = scale.sqrt().mul_(scale).rsqrt_()
        ctx.save_for_backward(feature_maps, scale, band)
        return power.mul_(feature_maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # y_i = x_i s_i^-3/4 and s_i = k + sum_j band_ij x_j^2, so
        # dL/dx_j = g_j s_j^-3/4 - 2 * 3/4 * x_j * sum_i band_ij g_i x_i s_i^-7/4
        feature_maps, scale, band = ctx.saved_tensors
        direct = scale.sqrt().mul_(scale).rsqrt_().mul_(gradient)
        indirect = F.conv2d((direct * feature_maps).div_(scale), band).mul_(feature_maps)
        return direct.sub_(indirect, alpha=1.5), None, None
