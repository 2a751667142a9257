"""The pieces GoogLeNet is made of: convolution + ReLU, local response normalisation, the Inception module."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from incdet.ops.normalisation import normalise_on_cpu
from incdet.ops.pooling import max_pool


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
    not. Where a gradient is asked for, and on a GPU, the windowed sum is a product with a band matrix: several times
    faster than `F.local_response_norm`, which pads and pools in three dimensions.
    """

    def __init__(self, channels: int, size: int = 5, alpha: float = 1e-4, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.k = size, alpha, k
        distance = torch.arange(channels)[:, None] - torch.arange(channels)[None, :]
        band = (distance.abs() <= size // 2).float() * (alpha / size)
        self.register_buffer("band", band[:, :, None, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same shape and dtype."""
        if maps.device.type == "cpu" and not maps.requires_grad and maps.dtype in (torch.float32, torch.bfloat16):
            return normalise_on_cpu(maps, self.size, self.alpha, self.k)
        return _Normalise.apply(maps, self.get_buffer("band").to(maps.dtype), self.k)


class BatchNorm(nn.Module):
    """Batch normalisation across images and pixels; torchvision's epsilon. All of its state is floating point."""

    def __init__(self, channels: int, epsilon: float = 1e-3, momentum: float = 0.1):
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        running = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return F.batch_norm(maps, *running, self.weight, self.bias, self.training, self.momentum, self.epsilon)


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; He's initialisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        self.norm = BatchNorm(out_channels)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(self.norm(self.convolution(input)), inplace=True)


class SeparableConvReLU(nn.Sequential):
    """A depthwise convolution, `multiplier` filters per channel, then a 1x1 convolution + ReLU."""

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


class Dropout(nn.Dropout):
    """Dropout that draws the mask of the whole batch of all processes, of which each takes its own samples' part.

    So N processes train as one does that takes steps of N times as many samples. Sample i of a batch belongs to
    process i modulo N; all of them must have seeded torch alike.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        together = distributed.is_available() and distributed.is_initialized()
        count, rank = (distributed.get_world_size(), distributed.get_rank()) if together else (1, 0)
        mask = torch.empty(len(input), count, *input.shape[1:], dtype=input.dtype, device=input.device)
        return input * mask.bernoulli_(1 - self.p)[:, rank] / (1 - self.p)


ConvUnit = type[ConvReLU] | type[ConvNormReLU]
"""What a network's convolutions are made of: (in, out, kernel size, stride) -> module."""


class Inception(nn.Module):
    """The Inception module with dimension reductions, Figure 2(b) of the paper.

    Args:
        in_channels: of the input.
        widths: filters of its convolutions.
        unit: what they are made of.
        branch_5x5: size of the filters that are called 5x5.
    """

    _weight: Tensor | None
    """Of the joined 1x1 convolutions of the input, see `join`; None while they may change."""
    _bias: Tensor | None

    def __init__(
        self, in_channels: int, widths: InceptionWidths, unit: ConvUnit = ConvReLU, branch_5x5: int = 5
    ) -> None:
        super().__init__()
        self.conv_1x1 = unit(in_channels, widths.conv_1x1, 1)
        self.reduce_3x3 = unit(in_channels, widths.reduce_3x3, 1)
        self.conv_3x3 = unit(widths.reduce_3x3, widths.conv_3x3, 3)
        self.reduce_5x5 = unit(in_channels, widths.reduce_5x5, 1)
        self.conv_5x5 = unit(widths.reduce_5x5, widths.conv_5x5, branch_5x5)
        self.pool_projection = unit(in_channels, widths.pool_projection, 1)
        self.out_channels = widths.output
        self.register_buffer("_weight", None, persistent=False)
        self.register_buffer("_bias", None, persistent=False)

    def join(self) -> None:
        """Keeps the joined weights of the 1x1 convolutions of the input; those of the layers must not change then."""
        if self._plain:
            self._weight, self._bias = self._join()

    @property
    def _plain(self) -> list[ConvReLU]:
        """The 1x1 convolutions of the input, where they can run as one: not with batch normalisation."""
        shared = (self.conv_1x1, self.reduce_3x3, self.reduce_5x5)
        return [convolution for convolution in shared if isinstance(convolution, ConvReLU)]

    def _join(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of all of them, one after the other."""
        biases = [convolution.bias for convolution in self._plain if convolution.bias is not None]
        return torch.cat([convolution.weight for convolution in self._plain]), torch.cat(biases)

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out_channels, H, W]."""
        conv_1x1, reduce_3x3, reduce_5x5 = self._reduce(input)
        pooled = max_pool(input, 3, stride=1)
        branches = (conv_1x1, self.conv_3x3(reduce_3x3), self.conv_5x5(reduce_5x5), self.pool_projection(pooled))
        return torch.cat(branches, dim=1)

    def _reduce(self, input: Tensor) -> Sequence[Tensor]:
        if not self._plain:
            return [convolution(input) for convolution in (self.conv_1x1, self.reduce_3x3, self.reduce_5x5)]
        weight, bias = self._join() if self._weight is None else (self._weight, self._bias)
        reduced = F.relu(F.conv2d(input, weight, bias), inplace=True)
        return torch.split(reduced, [convolution.out_channels for convolution in self._plain], dim=1)


class NaiveInception(nn.Module):
    """The naive module, Figure 2(a): all filters see the whole input, and the pooled input leaves as it is."""

    def __init__(self, in_channels: int, widths: InceptionWidths, unit: ConvUnit = ConvReLU, branch_5x5: int = 5):
        super().__init__()
        self.conv_1x1 = unit(in_channels, widths.conv_1x1, 1)
        self.conv_3x3 = unit(in_channels, widths.conv_3x3, 3)
        self.conv_5x5 = unit(in_channels, widths.conv_5x5, branch_5x5)
        self.out_channels = widths.conv_1x1 + widths.conv_3x3 + widths.conv_5x5 + in_channels

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out_channels, H, W]."""
        pooled = max_pool(input, 3, stride=1)
        return torch.cat([self.conv_1x1(input), self.conv_3x3(input), self.conv_5x5(input), pooled], dim=1)
