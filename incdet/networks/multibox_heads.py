"""The layers of MultiBox on top of GoogLeNet's last feature maps: four numbers and a confidence for every prior."""

import torch
from torch import Tensor, nn

from incdet.networks.conv_units import ConvReLU
from incdet.networks.priors import GRIDS, PRIORS_PER_CELL

INITIAL_CROP_LOGIT = -4.0
"""Before training every prior says "no object" (probability 0.982), which is right for nearly all of them."""


class PooledHead(nn.Module):
    """One layer on the mean of the features, as in Google's release: [B, C, h, w] -> [B, P, 5]."""

    def __init__(self, channels: int, num_priors: int):
        super().__init__()
        self.outputs = nn.Linear(channels, num_priors * 5)
        _start_at_priors(self.outputs)

    def forward(self, feature_maps: Tensor) -> Tensor:
        return self.outputs(feature_maps.mean(dim=(2, 3))).unflatten(1, (-1, 5))


class MapHead(nn.Module):
    """One layer on all 49 positions of the reduced features, which keeps their places: [B, C, 7, 7] -> [B, P, 5]."""

    def __init__(self, channels: int, num_priors: int, reduced_channels: int = 32, side: int = 7):
        super().__init__()
        self.reduce = ConvReLU(channels, reduced_channels, 1)
        self.outputs = nn.Linear(reduced_channels * side * side, num_priors * 5)
        _start_at_priors(self.outputs)

    def forward(self, feature_maps: Tensor) -> Tensor:
        return self.outputs(self.reduce(feature_maps).flatten(1)).unflatten(1, (-1, 5))


class GridsHead(nn.Module):
    """MSC-MultiBox's convolutions for grids of 8, 6, 4, 3, 2 and 1 cells a side: [B, C, 8, 8] -> [B, P, 5].

    Figure 1 of Szegedy et al. 2014 gives the grids, their order, and the widths 96, 128 and 256.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.to_8 = nn.Sequential(ConvReLU(channels, 96, 1), ConvReLU(96, 96, 3))
        self.to_6 = nn.Sequential(ConvReLU(channels, 96, 1), _UnpaddedConvReLU(96, 96, 3))
        self.to_4 = nn.Sequential(ConvReLU(channels, 128, 1), ConvReLU(128, 256, 3, stride=2))
        self.from_4 = nn.Sequential(ConvReLU(256, 128, 1), ConvReLU(128, 96, 3))
        self.to_3 = nn.Sequential(ConvReLU(256, 128, 1), _UnpaddedConvReLU(128, 96, 2))
        self.to_2 = nn.Sequential(ConvReLU(256, 128, 1), _UnpaddedConvReLU(128, 96, 3))
        self.outputs = nn.ModuleList(nn.Conv2d(96, PRIORS_PER_CELL * 5, 1) for _ in GRIDS)
        self.whole = nn.Linear(channels, 5)
        for layer in (*self.outputs, self.whole):
            _start_at_priors(layer)

    def forward(self, feature_maps: Tensor) -> Tensor:
        # the coarse grids of 3 and 2 cells are computed from the one of 4
        four = self.to_4(feature_maps)  # [B, 256, 4, 4]
        grids = (self.to_8(feature_maps), self.to_6(feature_maps), self.from_4(four), self.to_3(four), self.to_2(four))
        rows = []
        for layer, grid in zip(self.outputs, grids, strict=True):
            # [B, 11 * 5, y, x] -> [B, y * x * 11, 5], the order of `grid_priors`
            rows.append(layer(grid).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 5)))
        # the last prior is the whole image
        rows.append(self.whole(feature_maps.mean(dim=(2, 3)))[:, None])
        return torch.cat(rows, dim=1)


class _UnpaddedConvReLU(nn.Conv2d):
    """Convolution without padding, then ReLU; initialised as `ConvReLU`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__(in_channels, out_channels, kernel_size)
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.constant_(self.bias, 0.2)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu_()


def _start_at_priors(layer: nn.Module) -> None:
    """Initialises a layer of outputs: the first boxes are nearly the priors, all with the same low confidence."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=0.001)
    with torch.no_grad():
        # five numbers per prior: four corner offsets, and the logit of the confidence
        layer.bias.zero_().view(-1, 5)[:, 4] = INITIAL_CROP_LOGIT
