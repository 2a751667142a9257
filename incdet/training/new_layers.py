"""A trained network that goes on learning: which layers stay, which start anew, and how."""

import torch

from incdet.networks.googlenet import GoogLeNet

NEW_LAYER_DEVIATION = 0.01
"""Standard deviation of a new last layer's weights (R-CNN)."""


def replace_classifier(
    network: GoogLeNet, num_columns: int, dropout: float | None, seed: int, auxiliary: bool = False
) -> GoogLeNet:
    """Returns a copy of the network with a new last layer: Gaussian weights and zero biases; without box regressor.

    Args:
        network: the network whose other layers are copied.
        num_columns: number of outputs of the new layer.
        dropout: dropout of the pooled features; None is the architecture's.
        seed: seed of the new weights.
        auxiliary: whether the copy has auxiliary classifiers, which start anew, too.
    """
    # the auxiliary classifiers draw their first weights from torch's global generator
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
        drawn = torch.randn(fresh.classifier.weight.shape, generator=generator)
        fresh.classifier.weight.copy_(drawn * NEW_LAYER_DEVIATION)
        fresh.classifier.bias.zero_()
    return fresh


def copy_with_dropout(network: GoogLeNet, dropout: float | None) -> GoogLeNet:
    """Returns a copy of the network, last layer and all, with this dropout; None is the architecture's.

    A box regressor is left out, because only shared features train it together with the network.
    """
    copy = GoogLeNet(network.num_classes, False, dropout, network.architecture)
    kept = {name: value for name, value in network.state_dict().items() if not name.startswith("box_regressor.")}
    copy.load_state_dict(kept)
    return copy
