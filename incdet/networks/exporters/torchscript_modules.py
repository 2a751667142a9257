"""Our networks by torch's own operations alone, as TorchScript records them.

The networks themselves compute on the CPU with kernels that follow the size of the photo in Python, which a recording
would fix at the size of its example.
"""

import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception
from incdet.networks.multibox import MultiBox
from incdet.networks.response_norm import LocalResponseNorm
from incdet.networks.shared_multibox import SharedMultiBox

Compute = Callable[[Tensor], tuple[Tensor, ...]]
"""Computes the outputs of a network from its input."""


class RecordedNetwork(nn.Module):
    """A network whose outputs are computed by a function, so that its weights are stored with the recording.

    Args:
        network: The network, whose weights the function uses.
        compute: The function.
    """

    def __init__(self, network: nn.Module, compute: Compute) -> None:
        super().__init__()
        self.network = network
        self._compute = compute

    def forward(self, array: Tensor) -> tuple[Tensor, ...]:
        """Computes the outputs."""
        return self._compute(array)


def crop_classifier(network: GoogLeNet) -> RecordedNetwork:
    """Crops [R, 3, S, S] -> probabilities [R, C] and, with a box regressor, box deltas [R, 4]."""
    return RecordedNetwork(network, lambda crops: _outputs(network, _last_maps(network, crops)))


def photo_features(network: GoogLeNet) -> RecordedNetwork:
    """A photo [1, 3, H, W] of any size -> feature maps of stages 1 to 4."""
    return RecordedNetwork(network, lambda photo: (_inceptions(network, "4", _trunk(network, photo)),))


def region_head(network: GoogLeNet) -> RecordedNetwork:
    """Pooled regions [R, 832, 7, 7] -> probabilities [R, C] and, with a box regressor, box deltas [R, 4]."""
    return RecordedNetwork(network, lambda pooled: _outputs(network, _inceptions(network, "5", pooled)))


def multibox(network: MultiBox) -> RecordedNetwork:
    """Crops [B, 3, S, S] -> boxes [B, P, 4] in [0, 1] and confidences [B, P]."""

    def compute(crops: Tensor) -> tuple[Tensor, ...]:
        # [B, P, 5]: four corner offsets and the logit of the confidence
        rows = network.head(_last_maps(network.trunk, crops))
        return network.decode(rows[..., :4]).clamp(0, 1), rows[..., 4].sigmoid()

    return RecordedNetwork(network, compute)


def shared_multibox(network: SharedMultiBox) -> RecordedNetwork:
    """Feature maps [1, 832, h, w] -> boxes [1, P, 4] in pixels of the resized photo and confidences [1, P]."""

    def compute(feature_maps: Tensor) -> tuple[Tensor, ...]:
        outputs = network(feature_maps)
        # the recording follows the sizes, which are numbers of the graph while it is made
        priors = network.priors(feature_maps.shape[2], feature_maps.shape[3])
        return network.decode(priors, outputs.corner_offsets[0])[None], outputs.logits.sigmoid()

    return RecordedNetwork(network, compute)


def record(module: RecordedNetwork, example: Tensor) -> bytes:
    """Returns a network as the content of a TorchScript file.

    Args:
        module: The network.
        example: An input of another size than that with which the file is compared, where sizes may vary.
    """
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # torch recommends torch.export; what reads TorchScript files cannot read its files
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        # the sizes of priors are constants, as they should be
        warnings.filterwarnings("ignore", "torch.tensor results")
        # the file is compared with the network afterwards
        recorded = torch.jit.trace(module.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(recorded, content)
    return content.getvalue()


def _trunk(network: GoogLeNet, array: Tensor) -> Tensor:
    """Stages 1 to 3; see `GoogLeNet.trunk`."""
    maps = _pool_down(network.conv1(array))
    maps = network.conv2(network.conv2_reduce(_normalise(network.norm1, maps)))
    maps = _pool_down(_normalise(network.norm2, maps))
    return _pool_down(_inceptions(network, "3", maps))


def _last_maps(network: GoogLeNet, crops: Tensor) -> Tensor:
    """Stages 1 to 5."""
    maps = _inceptions(network, "4", _trunk(network, crops))
    return _inceptions(network, "5", _pool_down(maps, network.architecture.last_pool))


def _outputs(network: GoogLeNet, last_maps: Tensor) -> tuple[Tensor, ...]:
    """The classifier and, where there is one, the box regressor."""
    probabilities = network.classifier(last_maps.mean(dim=(2, 3))).softmax(dim=1)
    if network.box_regressor is None:
        return (probabilities,)
    return probabilities, network.box_regressor(last_maps)


def _inceptions(network: GoogLeNet, stage: str, maps: Tensor) -> Tensor:
    """The Inception modules of a stage, one after the other."""
    for name in network.modules_of(stage):
        module = network.get_submodule(f"inception_{name}")
        assert isinstance(module, Inception)
        branches = (
            module.conv_1x1(maps),
            module.conv_3x3(module.reduce_3x3(maps)),
            module.conv_5x5(module.reduce_5x5(maps)),
            module.pool_projection(F.max_pool2d(maps, 3, stride=1, padding=1)),
        )
        maps = torch.cat(branches, dim=1)
    return maps


def _pool_down(maps: Tensor, size: int = 3) -> Tensor:
    """Max pooling with stride 2; sizes are rounded up, as in Caffe."""
    return F.max_pool2d(maps, size, stride=2, ceil_mode=True)


def _normalise(layer: nn.Module, maps: Tensor) -> Tensor:
    """Response normalisation across channels."""
    assert isinstance(layer, LocalResponseNorm)
    return F.local_response_norm(maps, layer.size, layer.alpha, 0.75, layer.k)
