"""Convolutions with what follows them: bias + ReLU as in the paper's time, or batch normalisation + ReLU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvReLU(nn.Conv2d):
    """Convolution with bias, then ReLU; zero padding keeps the size where the stride is 1.

    The paper states no initialisation. Xavier weights and a bias of 0.2 are those of Caffe's released GoogLeNet.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
        if self.weight.is_meta:
            return
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.constant_(self.bias, 0.2)

    def reset_parameters(self) -> None:
        """Draws the weights, unless they have no memory, where drawing them does nothing and takes torch long."""
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride], rounded up."""
        return F.relu(super().forward(input), inplace=True)


class BatchNorm(nn.Module):
    """Batch normalisation over images and pixels, with torchvision's epsilon for GoogLeNet (1e-3).

    Unlike `torch.nn.BatchNorm2d` it has no integer counter of batches, so all tensors of a network are floating point
    and can be stored in one dtype and averaged.
    """

    def __init__(self, channels: int, epsilon: float = 1e-3, momentum: float = 0.1):
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, feature_maps: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same shape; training also updates the running statistics."""
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return F.batch_norm(
            feature_maps, mean, variance, self.weight, self.bias, self.training, self.momentum, self.epsilon
        )


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; He's initialisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1):
        super().__init__()
        # the normalisation subtracts the mean, so a bias of the convolution would have no effect
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        self.norm = BatchNorm(out_channels)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride], rounded up."""
        return F.relu(self.norm(self.convolution(input)), inplace=True)


class SeparableConvReLU(nn.Sequential):
    """A depthwise convolution with `multiplier` filters per channel, then a 1x1 convolution + ReLU.

    With 7x7 filters, stride 2 and a multiplier of 8 it has 3 * 8 * 49 + 24 * 64 = 2712 weights, the 2.7K parameters
    that Table 1 prints for the first convolution. A full 7x7 convolution has 9408.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, multiplier: int = 8):
        depthwise = nn.Conv2d(
            in_channels,
            in_channels * multiplier,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=in_channels,
            bias=False,
        )
        nn.init.xavier_uniform_(depthwise.weight)
        super().__init__(depthwise, ConvReLU(in_channels * multiplier, out_channels, 1))


ConvUnit = type[ConvReLU] | type[ConvNormReLU]
"""Class of a network's convolutions, called with (in channels, out channels, kernel size, stride)."""
