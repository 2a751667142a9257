"""Bounding-box regression (R-CNN, appendix C): from the feature maps of a region to the box of its object."""

from torch import Tensor, nn
from torch.nn import functional as F

CELLS = 3
"""Number of cells along each side, to which the last feature maps are pooled. Their mean over all positions, which the
classifier takes, would forget where in the region the object lies."""


class BoxRegressor(nn.Module):
    """One linear layer on the pooled cells. R-CNN has one for every class; this one serves all classes, so that few
    annotated objects suffice to fit it.

    Args:
        channels: number of channels of the network's last feature maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * CELLS**2, 4)

    def forward(self, feature_maps: Tensor) -> Tensor:
        """Last feature maps [B, channels, H, W] -> box deltas [B, 4]; see `apply_box_deltas`."""
        return self.linear(pooled_cells(feature_maps))


def pooled_cells(feature_maps: Tensor) -> Tensor:
    """Pools the last feature maps to the features of the regression: [B, channels, H, W] -> [B, channels * 9]."""
    return F.adaptive_avg_pool2d(feature_maps, CELLS).flatten(1)
