"""Ridge regression of box deltas, as R-CNN fits its bounding-box regression (appendix C)."""

import torch
from torch import Tensor

from incdet.networks.box_regression import CELLS, BoxRegressor


class RidgeRegression:
    """Least squares with a penalty on the weights; the expensive products are computed once for all penalties.

    Args:
        features: [R, F] float with F = channels * 9; see `pooled_cells`.
        targets: [R, 4] float32 box deltas; see `compute_box_deltas`.
    """

    def __init__(self, features: Tensor, targets: Tensor):
        # centred features and targets make the bias drop out of the system, so it is not penalised
        self.mean, self.target_mean = features.float().mean(dim=0), targets.mean(dim=0)
        self.centred, self.targets = features.float() - self.mean, targets - self.target_mean
        # with fewer regions than features the dual system X X^T [R, R] is smaller than X^T X [F, F] and as good
        self.dual = len(features) < features.shape[1]
        self.gram = self.centred @ self.centred.T if self.dual else self.centred.T @ self.centred

    def fit(self, penalty: float) -> BoxRegressor:
        """Fits the regression for one penalty.

        Args:
            penalty: strength of the penalty on the squared weights, in units of the features' mean squared distance
                from their mean. R-CNN's 1000 is not in these units.
        """
        # primal: w = (X^T X + l I)^-1 X^T y; dual: w = X^T (X X^T + l I)^-1 y; the trace is the same for both
        system = self.gram.clone()
        strength = penalty * float(self.gram.trace()) / len(self.centred)
        # a tiny strength keeps the system solvable where all features are equal
        system.diagonal().add_(max(strength, 1e-12))
        factor = torch.linalg.cholesky(system)
        if self.dual:
            weight = self.centred.T @ torch.cholesky_solve(self.targets, factor)
        else:
            weight = torch.cholesky_solve(self.centred.T @ self.targets, factor)
        regressor = BoxRegressor(len(self.mean) // CELLS**2)
        with torch.no_grad():
            regressor.linear.weight.copy_(weight.T)
            # the bias undoes the centring
            regressor.linear.bias.copy_(self.target_mean - self.mean @ weight)
        return regressor.eval()
