"""Multiply-adds of a network, counted from its layers and the sizes that they really see."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from incdet.networks.box_regression import BoxRegressor
from incdet.networks.engines.selection import Backend
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.photo_scaling import SIDE_STEP


class CountingBackend:
    """Passes everything on to a backend and keeps what it was asked to compute.

    Args:
        backend: computes the network.

    Attributes:
        photo_sizes: height and width of each photo whose feature maps were computed, in pixels.
        num_regions: number of pooled regions that were classified.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.reset()

    def reset(self) -> None:
        """Forgets what was computed so far."""
        self.photo_sizes: list[tuple[int, int]] = []
        self.num_regions = 0

    def trunk(self, crops: Tensor) -> Tensor:
        """Computes stages 1 to 3; see `Backend.trunk`."""
        return self.backend.trunk(crops)

    def head(self, feature_maps: Tensor) -> Tensor:
        """Computes the rest of the network; see `Backend.head`."""
        return self.backend.head(feature_maps)

    def full(self, crops: Tensor) -> Tensor:
        """Computes trunk and head; see `Backend.full`."""
        return self.backend.full(crops)

    def photo_features(self, photo: Tensor) -> Tensor:
        """Computes stages 1 to 4 of one photo; see `Backend.photo_features`."""
        self.photo_sizes.append((photo.shape[2], photo.shape[3]))
        return self.backend.photo_features(photo)

    def region_head(self, pooled: Tensor) -> Tensor:
        """Computes the rest of the network for pooled regions; see `Backend.region_head`."""
        self.num_regions += len(pooled)
        return self.backend.region_head(pooled)

    def prepare_shared_features(self) -> None:
        """See `Backend.prepare_shared_features`."""
        self.backend.prepare_shared_features()

    def prepare_crops(self, size: int) -> None:
        """See `Backend.prepare_crops`."""
        self.backend.prepare_crops(size)


class MultiplyAdds:
    """Counts of a network's multiply-adds. As in Table 1 of the paper, convolutions and linear layers count.

    Args:
        network: the network, prepared or not; its shape alone matters.
    """

    def __init__(self, network: GoogLeNet) -> None:
        # tensors on the "meta" device have shapes but no numbers: nothing is allocated or computed
        with torch.device("meta"):
            self._network = GoogLeNet(network.num_classes, architecture=network.architecture).eval()
            if network.box_regressor is not None:
                self._network.box_regressor = BoxRegressor(network.classifier.in_features)
        self.photo = cache(self._photo)
        self.region = cache(self._region)
        self.crop = cache(self._crop)

    def _photo(self, height: int, width: int) -> int:
        """Counts stages 1 to 4 of a photo of this size in pixels."""
        return self._count(self._network.photo_features, (1, 3, height, width))

    def _region(self) -> int:
        """Counts stage 5, the classifier and the box regressor of one pooled region."""
        channels = self._network.photo_features(torch.empty(1, 3, SIDE_STEP, SIDE_STEP, device="meta")).shape[1]
        return self._count(self._network.region_head, (1, channels, 7, 7))

    def _crop(self, size: int) -> int:
        """Counts the whole network for one crop of this size in pixels."""
        return self._count(lambda crops: self._network.head(self._network.trunk(crops)), (1, 3, size, size))

    def _count(self, part: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> int:
        total = 0

        def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal total
            weights = 0
            for module in layer.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    weights += module.weight.numel()
            # inside a layer every filter is applied at each position of the output, once per weight
            total += weights * output.shape[2:].numel()

        # Inception modules as a whole, because they compute some of their convolutions as one, which no hook sees
        layers = [*self._network.lower_layers(5), self._network.classifier]
        if self._network.box_regressor is not None:
            layers.append(self._network.box_regressor.linear)
        hooks = [layer.register_forward_hook(add) for layer in layers]
        part(torch.empty(shape, device="meta"))
        for hook in hooks:
            hook.remove()
        return total
