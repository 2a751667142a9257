"""Averages of parameters and statistics."""

import pytest
from torch import nn

from incdet.networks.conv_units import BatchNorm
from incdet.training.averaging import ParameterAverage, averaged_network


def test_the_average_by_hand():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = ParameterAverage(network, decay=0.15)
    nn.init.constant_(network.weight, 2.0)
    average.update(network, 0)  # decay 1 / 10: 0.1 * 1 + 0.9 * 2
    assert average.state()["weight"].item() == pytest.approx(1.9)
    nn.init.constant_(network.weight, 3.0)
    average.update(network, 5)  # 6 / 15 is more than 0.15: 0.15 * 1.9 + 0.85 * 3
    assert average.state()["weight"].item() == pytest.approx(2.835)
    assert averaged_network(network, average).weight.item() == pytest.approx(2.835)
    assert network.weight.item() == 3.0


def test_the_average_takes_in_the_statistics_of_batch_normalisation():
    network = BatchNorm(1)
    average = ParameterAverage(network, decay=0.5)
    network.running_mean.fill_(4.0)
    average.update(network, 100)
    assert average.state()["running_mean"].item() == pytest.approx(2.0)
    assert averaged_network(network, average).running_mean.item() == pytest.approx(2.0)
    assert network.running_mean.item() == 4.0
