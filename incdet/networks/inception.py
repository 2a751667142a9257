"""The Inception module (paper, Figure 2): filters of several sizes side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.networks.architectures import InceptionWidths
from incdet.networks.conv_units import ConvReLU, ConvUnit
from incdet.ops.pooling import max_pool


class Inception(nn.Module):
    """The Inception module with dimension reductions, Figure 2(b) of the paper.

    Args:
        in_channels: number of channels of the input.
        widths: number of filters of each convolution.
        unit: class of the convolutions.
        branch_5x5: size of the filters that the paper calls 5x5; torchvision's variant has 3.

    Attributes:
        out_channels: number of channels of the output.
    """

    _joined_weight: Tensor | None
    """[sum of outputs, in_channels, 1, 1], see `join`; None while the weights may still change."""
    _joined_bias: Tensor | None

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
        # buffers follow the module to its device and dtype; these are copies, so they are not stored with the weights
        self.register_buffer("_joined_weight", None, persistent=False)
        self.register_buffer("_joined_bias", None, persistent=False)

    def join(self) -> None:
        """Joins the three 1x1 convolutions of the input once and for all; their weights must not change afterwards."""
        if self._joinable:
            self._joined_weight, self._joined_bias = self._join()

    def forward(self, input: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H, W]."""
        conv_1x1, reduce_3x3, reduce_5x5 = self._reduce(input)
        pooled = max_pool(input, 3, stride=1)
        # the order of the branches is that of the columns of Table 1; stored weights of the next layer rely on it
        branches = (conv_1x1, self.conv_3x3(reduce_3x3), self.conv_5x5(reduce_5x5), self.pool_projection(pooled))
        return torch.cat(branches, dim=1)

    def _reduce(self, input: Tensor) -> Sequence[Tensor]:
        """The results of the three 1x1 convolutions of the input, each [B, filters, H, W]."""
        if not self._joinable:
            return [self.conv_1x1(input), self.reduce_3x3(input), self.reduce_5x5(input)]
        # one large matrix product is faster than three small ones, and reads the input once
        weight, bias = self._join() if self._joined_weight is None else (self._joined_weight, self._joined_bias)
        reduced = F.relu(F.conv2d(input, weight, bias), inplace=True)
        return torch.split(reduced, [convolution.out_channels for convolution in self._joinable], dim=1)

    def _join(self) -> tuple[Tensor, Tensor]:
        """Weights and biases of the three convolutions, concatenated along their outputs."""
        weights = [convolution.weight for convolution in self._joinable]
        biases = [convolution.bias for convolution in self._joinable if convolution.bias is not None]
        return torch.cat(weights), torch.cat(biases)

    @property
    def _joinable(self) -> list[ConvReLU]:
        """The three 1x1 convolutions of the input; empty where batch normalisation lies between them and ReLU."""
        convolutions = (self.conv_1x1, self.reduce_3x3, self.reduce_5x5)
        return [convolution for convolution in convolutions if isinstance(convolution, ConvReLU)]


class NaiveInception(nn.Module):
    """The naive module, Figure 2(a): all filters see the whole input, and the pooled input leaves unchanged.

    The arguments are those of `Inception`; the widths of reductions and of the projection are not used.
    """

    def __init__(self, in_channels: int, widths: InceptionWidths, unit: ConvUnit = ConvReLU, branch_5x5: int = 5):
        super().__init__()
        self.conv_1x1 = unit(in_channels, widths.conv_1x1, 1)
        self.conv_3x3 = unit(in_channels, widths.conv_3x3, 3)
        self.conv_5x5 = unit(in_channels, widths.conv_5x5, branch_5x5)
        # the pool adds all input channels, so naive modules grow from stage to stage (paper, section 4)
        self.out_channels = widths.conv_1x1 + widths.conv_3x3 + widths.conv_5x5 + in_channels

    def forward(self, input: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H, W]."""
        pooled = max_pool(input, 3, stride=1)
        return torch.cat([self.conv_1x1(input), self.conv_3x3(input), self.conv_5x5(input), pooled], dim=1)
