"""A trained network for other classes: what is new, and how it starts."""

import torch

from incdet.networks.googlenet import GoogLeNet


def replace_classifier(
    network: GoogLeNet, num_columns: int, dropout: float | None, seed: int, auxiliary: bool = False
) -> GoogLeNet:
    """The same network with a new last layer: Gaussian weights of deviation 0.01 and zero biases, as R-CNN's.

    Args:
        network: whose other layers are kept.
        num_columns: outputs.
        dropout: of the pooled features; None is the architecture's.
        seed: of the new weights.
        auxiliary: with auxiliary classifiers, which start anew.
    """
    torch.manual_seed(seed)
    fresh = GoogLeNet(num_columns, auxiliary, dropout, network.architecture)
    kept = {
        name: value
        for name, value in network.state_dict().items()
        if not name.startswith(("classifier.", "auxiliary_"))
    }
    fresh.load_state_dict(kept, strict=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        fresh.classifier.weight.copy_(torch.randn(fresh.classifier.weight.shape, generator=generator) * 0.01)
        fresh.classifier.bias.zero_()
    return fresh


def keep_classifier(network: GoogLeNet, dropout: float | None) -> GoogLeNet:
    """The same network, last layer and all, with this dropout; None is the architecture's."""
    copy = GoogLeNet(network.num_classes, False, dropout, network.architecture)
    copy.load_state_dict(network.state_dict())
    return copy
