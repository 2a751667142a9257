"""Ridge regression of box deltas, against least squares."""

import numpy as np
import pytest
import torch

from incdet.training.ridge_regression import RidgeRegression


@pytest.mark.parametrize("count", [50, 10], ids=["more regions than features", "fewer"])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 30.0])
def test_ridge_regression_agrees_with_least_squares(penalty, count):
    """A penalty is the same as additional rows with its square root, whose targets are zero."""
    generator = np.random.default_rng(0)
    features = generator.normal(3, 2, (count, 18))
    targets = generator.normal(0, 1, (count, 4))
    centred = features - features.mean(axis=0)
    strength = penalty * (centred**2).sum(axis=1).mean()
    rows = np.concatenate([centred, np.sqrt(strength) * np.eye(18)])
    wanted = np.concatenate([targets - targets.mean(axis=0), np.zeros((18, 4))])
    expected = centred @ np.linalg.lstsq(rows, wanted, rcond=None)[0] + targets.mean(axis=0)
    fitted = RidgeRegression(torch.from_numpy(features), torch.from_numpy(targets).float()).fit(penalty)
    found = fitted.linear(torch.from_numpy(features).float())
    assert found.detach().numpy() == pytest.approx(expected, abs=1e-3)


def test_one_region_teaches_its_own_box_deltas():
    targets = torch.tensor([[0.1, -0.2, 0.3, 0.0]])
    fitted = RidgeRegression(torch.ones(1, 18), targets).fit(1.0)
    assert torch.allclose(fitted.linear(torch.randn(5, 18)), targets.expand(5, 4), atol=1e-5)
