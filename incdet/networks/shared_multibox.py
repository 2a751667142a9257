"""MultiBox on shared feature maps: grids of priors over the feature maps that a region network computes of a photo.

The multi-scale crops of a photo (Szegedy et al. 2014) show the same pixels up to dozens of times. Here every cell of
the photo's feature maps has priors of its own, so that one pass serves all of them, as in Faster R-CNN and SSD.
"""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from incdet.networks.conv_units import ConvReLU
from incdet.networks.multibox import BoxOutputs
from incdet.networks.multibox_description import FEATURE_CHANNELS as FEATURE_CHANNELS  # users of the layers need it
from incdet.networks.multibox_description import SharedMultiBoxDescription
from incdet.ops.region_pooling import CELL_OFFSET, CELL_STRIDE

INITIAL_CELL_LOGIT = -5.0
"""Before training every prior says "no object" (probability 0.993), which is right for nearly all of them."""


class GridShape(NamedTuple):
    """Number of rows and columns of a grid."""

    height: int
    width: int


class SharedMultiBox(nn.Module):
    """Convolutions on the feature maps of photos: four numbers and a confidence for every prior.

    Args:
        description: the priors and the width of the layers.
    """

    def __init__(self, description: SharedMultiBoxDescription) -> None:
        super().__init__()
        self.description = description
        channels, num_shapes = description.channels, len(description.aspect_ratios)
        self.reduce = ConvReLU(FEATURE_CHANNELS, channels, 1)
        self.fine = ConvReLU(channels, channels, 3)
        num_coarse = len(description.prior_sides) - 1
        self.coarser = nn.ModuleList(ConvReLU(channels, channels, 3, stride=2) for _ in range(num_coarse))
        self.outputs = nn.ModuleList(
            nn.Conv2d(channels, len(sides) * num_shapes * 5, 1) for sides in description.prior_sides
        )
        for layer in self.modules():
            if isinstance(layer, ConvReLU):
                assert layer.bias is not None
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        for layer in self.outputs:
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            with torch.no_grad():
                # five numbers per prior: four corner offsets, and the logit of the confidence
                layer.bias.zero_().view(-1, 5)[:, 4] = INITIAL_CELL_LOGIT

    def forward(self, feature_maps: Tensor) -> BoxOutputs:
        """Computes the outputs for every prior, in the order of `priors`.

        Args:
            feature_maps: [B, 832, h, w] of photos, as `GoogLeNet.photo_features` computes them.
        """
        reduced = self.reduce(feature_maps)
        grids = [self.fine(reduced)]
        for layer in self.coarser:
            # each grid is computed from the one before it, the first coarse one from the reduced feature maps
            reduced = layer(reduced)
            grids.append(reduced)
        rows = []
        for layer, grid in zip(self.outputs, grids, strict=True):
            # [B, K * 5, y, x] -> [B, y * x * K, 5] for the K priors of a cell
            rows.append(layer(grid).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 5)))
        outputs = torch.cat(rows, dim=1)
        return BoxOutputs(outputs[..., :4], outputs[..., 4])

    def priors(self, height: int, width: int) -> Tensor:
        """Makes the priors for feature maps of some size; those at the border reach beyond the photo.

        Args:
            height: number of rows of the feature maps.
            width: number of columns of the feature maps.

        Returns:
            [P, 4] float32, xyxy pixels of the resized photo. Order: grids from fine to coarse, cells row by row, sides,
            aspect ratios.
        """
        grids = []
        shape = GridShape(height, width)
        for number in range(len(self.description.prior_sides)):
            # the first cell of every grid looks at the same pixel
            stride = CELL_STRIDE * 2**number
            half = self.half_sizes(number)  # [K, 2]
            y, x = torch.meshgrid(_centres(shape.height, stride), _centres(shape.width, stride), indexing="ij")
            centres = torch.stack([x, y], dim=-1).reshape(-1, 1, 2)  # [y * x, 1, 2]
            grids.append(torch.cat([centres - half, centres + half], dim=-1).reshape(-1, 4))
            # a convolution with stride 2 rounds up
            shape = GridShape((shape.height + 1) // 2, (shape.width + 1) // 2)
        return torch.cat(grids)

    def half_sizes(self, grid: int) -> Tensor:
        """Computes half of the widths and heights of the priors that every cell of a grid has.

        Args:
            grid: number of the grid, from 0, the finest.

        Returns:
            [K, 2] float32, in pixels of the resized photo. Order: sides, aspect ratios.
        """
        rows = []
        for side, ratio in itertools.product(self.description.prior_sides[grid], self.description.aspect_ratios):
            rows.append((side * math.sqrt(ratio) / 2, side / math.sqrt(ratio) / 2))
        return torch.tensor(rows)

    def decode(self, priors: Tensor, corner_offsets: Tensor) -> Tensor:
        """Priors [N, 4] and their corner offsets [N, 4] -> boxes [N, 4] float32 in the same pixels."""
        return priors + corner_offsets.float() * (_sizes(priors) * self.description.offset_unit)

    def encode(self, priors: Tensor, boxes: Tensor) -> Tensor:
        """Boxes [N, 4] -> the corner offsets [N, 4] with which the priors [N, 4] decode to them."""
        return (boxes - priors) / (_sizes(priors) * self.description.offset_unit)


def _centres(count: int, stride: float) -> Tensor:
    """Pixels that the cells of a grid look at along one axis, [count] float32."""
    return torch.arange(count) * stride + CELL_OFFSET


def _sizes(boxes: Tensor) -> Tensor:
    """Width, height, width and height of boxes, [N, 4]."""
    return (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
