"""Box regressors with random weights."""

import torch

from incdet.networks.box_regression import BoxRegressor


def regressor_of(seed, channels=1024):
    """A regressor in evaluation mode whose box deltas are neither zero nor clipped."""
    torch.manual_seed(seed)
    regressor = BoxRegressor(channels)
    torch.nn.init.normal_(regressor.linear.weight, std=0.02)
    return regressor.eval()
