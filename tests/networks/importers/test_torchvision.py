"""torchvision's GoogLeNet and our variant of it."""

import pytest
import torch
import torchvision
from torch import nn

from incdet.errors import WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.torchvision import from_torchvision


@pytest.fixture(scope="module")
def torchvisions():
    """torchvision's own network with random weights and statistics."""
    torch.manual_seed(3)
    network = torchvision.models.googlenet(num_classes=11, aux_logits=True, transform_input=False, init_weights=False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return network


@pytest.mark.parametrize("training", [False, True])
def test_torchvisions_variant_computes_what_torchvision_computes(torchvisions, training):
    ours = GoogLeNet(11, auxiliary=True, dropout=0, architecture=ARCHITECTURES["torchvision"])
    ours.load_state_dict(from_torchvision(torchvisions.state_dict(), "torchvision", auxiliary=True))
    theirs = torchvisions.train(training)
    for network in (ours.train(training), theirs):
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0
    crops = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        logits, expected = ours(crops), theirs(crops)
    assert torch.allclose(logits.main, expected.logits if training else expected, atol=1e-5)
    if training:
        assert torch.allclose(logits.auxiliary_4a, expected.aux_logits1, atol=1e-5)
        assert torch.allclose(logits.auxiliary_4d, expected.aux_logits2, atol=1e-5)


def test_other_tensors_than_torchvisions_are_refused(torchvisions):
    tensors = dict(torchvisions.state_dict())
    assert not any(name.startswith("auxiliary") for name in from_torchvision(tensors, "file"))
    with pytest.raises(WeightsError, match=r"file holds 'fc3.weight'"):
        from_torchvision(tensors | {"fc3.weight": torch.zeros(1)}, "file")
    del tensors["inception4c.branch3.1.bn.running_var"]
    with pytest.raises(WeightsError, match=r"file lacks 'inception4c.branch3.1.bn.running_var'"):
        from_torchvision(tensors, "file")
