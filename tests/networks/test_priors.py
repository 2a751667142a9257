"""The priors of MSC-MultiBox."""

import pytest

from incdet.networks.priors import GRIDS, grid_priors


def test_grid_priors_are_eleven_in_every_cell_and_one_whole():
    priors = grid_priors()
    assert len(priors) == 11 * (64 + 36 + 16 + 9 + 4) + 1 == 1420
    assert priors[-1].tolist() == [0, 0, 1, 1]
    assert (priors[:, 2:] > priors[:, :2]).all()
    # the first cell of the finest grid, its sixth shape but for clipping: 1.6 cells, three times as high as wide
    last = priors[11 * 63 : 11 * 64]
    squares = last[[2, 7]]
    assert squares[0].tolist() == pytest.approx([7 / 8, 7 / 8, 1, 1])
    assert squares[1].tolist() == pytest.approx([(7.5 - 0.8) / 8, (7.5 - 0.8) / 8, 1, 1])
    # a cell in the middle is not clipped: areas of 1, 2.56 and 5.29 cells, aspects of 1/3 to 3
    middle = priors[11 * (3 * 8 + 4) : 11 * (3 * 8 + 5)] * 8
    width, height = (middle[:, 2:] - middle[:, :2]).T
    assert (width * height).tolist() == pytest.approx([1.0] * 5 + [2.56] * 5 + [5.29], rel=1e-4)
    assert (width / height).tolist() == pytest.approx([1 / 3, 1 / 2, 1, 2, 3] * 2 + [1], rel=1e-4)
    assert ((middle[:, :2] + middle[:, 2:]) / 2).mean(axis=0).tolist() == pytest.approx([4.5, 3.5])
    assert GRIDS == (8, 6, 4, 3, 2)
