"""New layers on old ones."""

import pytest
import torch

from incdet.networks.googlenet import GoogLeNet
from incdet.training.new_layers import copy_with_dropout, replace_classifier


def test_replacing_the_classifier_keeps_every_other_layer():
    initial = GoogLeNet(7)
    network = replace_classifier(initial, 21, dropout=0.3, seed=1)
    for name, value in network.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(value, initial.state_dict()[name]), name
    assert network.classifier.weight.shape == (21, 1024)
    assert network.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not network.classifier.bias.any()
    assert network.dropout.p == 0.3
    same, other = (replace_classifier(initial, 21, 0.3, seed).classifier.weight for seed in (1, 2))
    assert torch.equal(network.classifier.weight, same)
    assert not torch.equal(same, other)


def test_a_copy_with_another_dropout_has_every_layer():
    initial = GoogLeNet(7)
    network = copy_with_dropout(initial, 0.15)
    assert network.dropout.p == 0.15
    assert network is not initial
    for name, value in network.state_dict().items():
        assert torch.equal(value, initial.state_dict()[name]), name
