"""Weights of MultiBox."""

import pytest
import torch

from incdet.errors import WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox import MultiBox, MultiBoxDescription
from incdet.networks.priors import grid_priors
from incdet.networks.weights import load_multibox, load_network, save_weights
from incdet.networks.weights_record import WeightsRecord


def network_of(form="grids", count=12, seed=0):
    torch.manual_seed(seed)
    if form == "grids":
        return MultiBox(torch.from_numpy(grid_priors()), form).eval()
    corners = torch.rand(count, 2, 2)
    priors = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
    return MultiBox(priors, form).eval()


def record_of(network):
    return WeightsRecord(
        classes=("cat",), background=False, origin="a test", licence="none", multibox=network.describe()
    )


def test_weights_bring_their_priors_with_them(tmp_path):
    network = network_of("map", seed=4)
    save_weights(tmp_path / "m.safetensors", network.state_dict(), record_of(network), torch.float32)
    loaded, record = load_multibox(tmp_path / "m.safetensors")
    assert record.multibox.form == "map"
    assert torch.allclose(loaded.get_buffer("priors"), network.get_buffer("priors"), atol=1e-6)
    inputs = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(loaded(inputs).logits, network(inputs).logits)


def test_boxes_and_classes_are_not_mixed_up(tmp_path):
    network, file = network_of("map"), tmp_path / "m.safetensors"
    save_weights(file, network.state_dict(), record_of(network), torch.float32)
    with pytest.raises(WeightsError, match="name no classes"):
        load_network(file)
    record = WeightsRecord(classes=("cat",), background=False, origin="a test", licence="none")
    save_weights(file, GoogLeNet(1).state_dict(), record, torch.float32)
    with pytest.raises(WeightsError, match="propose no boxes"):
        load_multibox(file)


def test_shipped_limits_hold():
    """Half precision, at most 16 MB, whatever the form."""
    for form, count in (("pooled", 200), ("map", 200), ("grids", 1420)):
        parameters = sum(parameter.numel() for parameter in network_of(form, count).parameters())
        assert parameters * 2 < 16e6, form


def test_a_description_without_priors_is_refused():
    with pytest.raises(ValueError, match="priors"):
        MultiBoxDescription(form="map", offset_unit=0.01, priors=())
