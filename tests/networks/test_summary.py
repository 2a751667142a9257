"""The paper's Table 1, computed from networks."""

import pytest
import torch
from torch import nn

from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception
from incdet.networks.summary import summarize


def test_the_totals_are_those_of_the_sources():
    """FACTS, section 4: 1.50 G holds with the separable first convolution, a full one gives 1.58 G."""
    table = summarize(ARCHITECTURES["table"])
    assert table.parameters == 6_998_552
    assert table.head_parameters == (3_188_840, 3_190_888)
    assert round(table.multiply_adds / 1e9, 2) == 1.58
    for name in ("table-separable", "released-separable"):
        assert round(summarize(ARCHITECTURES[name]).multiply_adds / 1e9, 2) == 1.50


def test_the_printed_operations_fit_the_released_network_with_a_separable_convolution_only():
    wrong = {
        name: [layer.name for layer in summarize(ARCHITECTURES[name]).layers if layer.contradictions[1]]
        for name in ("table", "table-separable", "released", "released-separable")
    }
    assert wrong == {
        "table": ["conv1", "4a", "5a"],
        "table-separable": ["4a", "5a"],
        "released": ["conv1"],
        "released-separable": [],
    }


def test_depth_is_22_layers_with_parameters():
    """Section 5 of the paper."""
    assert sum(layer.depth for layer in summarize(ARCHITECTURES["table"]).layers) == 22


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table", "table-separable", "naive", "torchvision", "wide"])
def test_multiply_adds_are_what_the_convolutions_do(name):
    """Counted layer by layer while a network runs; the shared 1x1 convolutions run apart here."""
    network = GoogLeNet(1000, architecture=ARCHITECTURES[name]).eval()
    done = []

    def count_one(layer, inputs, output):
        done.append(layer.weight[0].numel() * output.numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count_one)
        if isinstance(layer, Inception):
            layer._reduce = lambda input, layer=layer: [
                unit(input) for unit in (layer.conv_1x1, layer.reduce_3x3, layer.reduce_5x5)
            ]
    with torch.inference_mode():
        network(torch.zeros(1, 3, 224, 224))
    assert sum(done) == summarize(ARCHITECTURES[name]).multiply_adds
