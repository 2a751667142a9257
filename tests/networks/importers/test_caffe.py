"""The translation of Caffe's layer names."""

import pytest
import torch

from incdet.errors import WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.caffe import from_caffe, parameter_names


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return GoogLeNet(7)


@pytest.fixture(scope="module")
def caffe_tensors(network):
    """A network's tensors as Caffe names them, the first filters in BGR."""
    tensors = network.state_dict()
    tensors["conv1.weight"] = tensors["conv1.weight"][:, [2, 1, 0]]
    kinds = ("weight", "bias")
    return {
        f"{theirs}.{kind}": tensors[f"{ours}.{kind}"] for ours, theirs in parameter_names().items() for kind in kinds
    }


def test_every_tensor_finds_its_place_and_the_first_filters_take_rgb(network, caffe_tensors):
    translated = from_caffe({**caffe_tensors, "loss1/fc.weight": torch.zeros(1)}, "test")
    assert translated.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(translated[name], tensor), name


def test_first_filters_of_another_shape_are_left_to_whoever_compares_shapes(caffe_tensors):
    flat = {**caffe_tensors, "conv1/7x7_s2.weight": torch.arange(5.0)}
    assert torch.equal(from_caffe(flat, "test")["conv1.weight"], torch.arange(5.0))


def test_a_missing_or_additional_layer_is_refused(caffe_tensors):
    lacking = {name: value for name, value in caffe_tensors.items() if name != "inception_4c/5x5.bias"}
    with pytest.raises(WeightsError, match=r"lacks 'inception_4c/5x5\.bias'"):
        from_caffe(lacking, "test")
    with pytest.raises(WeightsError, match=r"holds 'fc8\.weight'"):
        from_caffe({**caffe_tensors, "fc8.weight": torch.zeros(1)}, "test")
