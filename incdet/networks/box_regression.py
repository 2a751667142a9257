"""Bounding-box regression: from what the network sees of a region to where its object's box is (R-CNN, appendix C)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = 3
"""The last maps are pooled to so many cells a side: where the object lies is what their mean forgets."""


class BoxRegressor(nn.Module):
    """One linear layer on the pooled cells. R-CNN has one for every class; this serves all, so few objects teach it.

    Args:
        channels: of the last maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * CELLS**2, 4)

    def forward(self, maps: Tensor) -> Tensor:
        """Last maps [B, channels, H, W] -> corrections [B, 4], see `boxes.apply_box_deltas`."""
        return self.linear(pooled_cells(maps))


def pooled_cells(maps: Tensor) -> Tensor:
    """What the regression sees of the last maps: [B, channels, H, W] -> [B, channels * 9]."""
    return F.adaptive_avg_pool2d(maps, CELLS).flatten(1)


class RidgeRegression:
    """Least squares with a penalty on the weights, for any number of penalties.

    Args:
        features: [R, channels * 9] float, see `pooled_cells`.
        targets: [R, 4] float32, see `boxes.compute_box_deltas`.
    """

    def __init__(self, features: Tensor, targets: Tensor):
        self.mean, self.offset = features.float().mean(dim=0), targets.mean(dim=0)
        self.centred, self.targets = features.float() - self.mean, targets - self.offset
        # with fewer regions than features, the smaller of two equivalent systems
        self.dual = len(features) < features.shape[1]
        self.gram = self.centred @ self.centred.T if self.dual else self.centred.T @ self.centred

    def fit(self, penalty: float) -> BoxRegressor:
        """The regression; the penalty is in units of the features' mean squared distance from their mean."""
        system = self.gram.clone()
        system.diagonal().add_(max(penalty * float(self.gram.trace()) / len(self.centred), 1e-12))
        factor = torch.linalg.cholesky(system)
        if self.dual:
            weight = self.centred.T @ torch.cholesky_solve(self.targets, factor)
        else:
            weight = torch.cholesky_solve(self.centred.T @ self.targets, factor)
        regressor = BoxRegressor(len(self.mean) // CELLS**2)
        with torch.no_grad():
            regressor.linear.weight.copy_(weight.T)
            regressor.linear.bias.copy_(self.offset - self.mean @ weight)
        return regressor.eval()
