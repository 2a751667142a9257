"""Variants of what judges a region on shared features: stage 5, the classifier and the box regressor, with additions.

Everything that a variant adds starts at zero, or as a copy of what the weights hold, so that before its first step it
answers as the network does.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from incdet.networks.box_regression import CELLS, pooled_cells
from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.bilinear_taps import BINS
from incdet.ops.region_pooling import CELL_OFFSET, pool_regions
from incdet.training.shared_network import FEATURE_SCALE, ScaledBoxRegressor

EARLY_MODULE = "3b"
"""The Inception module whose feature maps have twice as many cells along each side as those after stage 4."""

CROP_CELL_STRIDE = 16.0
"""Distance between two cells of a crop's feature maps, in pixels of the crop."""


class PhotoMaps(NamedTuple):
    """The feature maps of a photo that regions are pooled from.

    Attributes:
        last: [1, 832, h, w], after stage 4.
        early: [1, 480, 2 h, 2 w], after module 3b; None where no variant needs them.
    """

    last: Tensor
    early: Tensor | None

    @property
    def num_bytes(self) -> int:
        """Size in memory."""
        return sum(maps.numel() * maps.element_size() for maps in self if maps is not None)


class HeadAnswers(NamedTuple):
    """The answers about R regions.

    Attributes:
        logits: [R, C + 1] float32, background last.
        box_deltas: [R, K, 4] float32, divided by `DELTA_SCALE`. K is 1 where all classes share them, else C.
    """

    logits: Tensor
    box_deltas: Tensor


@torch.no_grad()
def photo_maps(googlenet: GoogLeNet, photo: Tensor, with_early: bool) -> PhotoMaps:
    """Computes the feature maps of a photo.

    Args:
        googlenet: the network, whose stages 1 to 4 no variant changes.
        photo: [1, 3, H, W] float32, preprocessed.
        with_early: whether those after module 3b are kept, too.
    """
    kept: list[Tensor] = []
    module = googlenet.get_submodule(f"inception_{EARLY_MODULE}")
    watch = module.register_forward_hook(lambda _, __, output: kept.append(output))
    try:
        last = googlenet.photo_features(photo)
    finally:
        watch.remove()
    return PhotoMaps(last, kept[0] if with_early else None)


class RegionHead(nn.Module):
    """The control: stage 5, the classifier and the box regressor as they are.

    Args:
        googlenet: the network with a `ScaledBoxRegressor`; the head trains a copy of it.

    Attributes:
        googlenet: the copy.
        needs_early: whether the head pools from the feature maps after module 3b, too.
    """

    needs_early = False

    def __init__(self, googlenet: GoogLeNet) -> None:
        super().__init__()
        self.googlenet = copy.deepcopy(googlenet)

    def forward(self, maps: PhotoMaps, regions: Tensor) -> HeadAnswers:
        """Judges regions of one photo.

        Args:
            maps: the photo's feature maps.
            regions: [R, 4] float32, in cells of the feature maps after stage 4.
        """
        last = self._stage5(self._pool(maps, regions))  # [R, 1024, 7, 7]
        features = last.mean(dim=(2, 3))
        logits = self.googlenet.classifier(self.googlenet.dropout(features))
        # drawn after the dropout above, which thus has the same masks in all variants
        more = self._more_logits(maps, regions)
        logits = logits if more is None else logits + more
        return HeadAnswers(logits.float(), self._box_deltas(last).float())

    def _pool(self, maps: PhotoMaps, regions: Tensor) -> Tensor:
        """Pools the regions, [R, 832, 7, 7]."""
        return pool_regions(maps.last, regions)

    def _more_logits(self, maps: PhotoMaps, regions: Tensor) -> Tensor | None:
        """Returns logits [R, C + 1] that are added to those of the classifier; None adds nothing."""
        return None

    def _box_deltas(self, last: Tensor) -> Tensor:
        """Returns box deltas [R, K, 4], divided by `DELTA_SCALE`."""
        assert self.googlenet.box_regressor is not None
        return self.googlenet.box_regressor(last)[:, None]

    def _stage5(self, pooled: Tensor) -> Tensor:
        """Computes stage 5: [R, 832, 7, 7] -> [R, 1024, 7, 7]."""
        for name in self.googlenet.modules_of("5"):
            pooled = self.googlenet.get_submodule(f"inception_{name}")(pooled)
        return pooled

    def _new_columns(self, num_features: int) -> nn.Linear:
        """Makes columns of the classifier for features that join those of the region; they start at zero."""
        columns = nn.Linear(num_features, self.googlenet.num_classes, bias=False)
        nn.init.zeros_(columns.weight)
        return columns


class ContextHead(RegionHead):
    """The classifier also sees the mean features of the enlarged region, by the same stage 5.

    Args:
        googlenet: the network.
        factor: factor by which the second region is larger along each side.
    """

    def __init__(self, googlenet: GoogLeNet, factor: float) -> None:
        super().__init__(googlenet)
        self.factor = factor
        self.columns = self._new_columns(googlenet.classifier.in_features)

    def _more_logits(self, maps: PhotoMaps, regions: Tensor) -> Tensor:
        around = self._stage5(pool_regions(maps.last, enlarged_regions(regions, self.factor)))
        return self.columns(self.googlenet.dropout(around.mean(dim=(2, 3))))


class PhotoContextHead(RegionHead):
    """The classifier also sees the mean of the feature maps of the whole photo."""

    def __init__(self, googlenet: GoogLeNet) -> None:
        super().__init__(googlenet)
        self.columns = self._new_columns(stage4_channels(googlenet))

    def _more_logits(self, maps: PhotoMaps, regions: Tensor) -> Tensor:
        mean = maps.last.mean(dim=(2, 3)).expand(len(regions), -1)  # [R, 832]
        return self.columns(self.googlenet.dropout(mean))


class EarlyPoolingHead(RegionHead):
    """Regions are pooled from the feature maps after module 3b, too, and added to those after stage 4.

    Args:
        googlenet: the network.
        scale: factor that brings the feature maps after module 3b to the size of those after stage 4.
    """

    needs_early = True

    def __init__(self, googlenet: GoogLeNet, scale: float) -> None:
        super().__init__(googlenet)
        self.scale = scale
        channels = googlenet.get_submodule(f"inception_{EARLY_MODULE}").out_channels
        assert isinstance(channels, int)
        self.projection = nn.Conv2d(channels, stage4_channels(googlenet), 1)
        nn.init.zeros_(self.projection.weight)
        assert self.projection.bias is not None
        nn.init.zeros_(self.projection.bias)

    def _pool(self, maps: PhotoMaps, regions: Tensor) -> Tensor:
        assert maps.early is not None
        early = pool_regions(maps.early, early_regions(regions))  # [R, 480, 7, 7]
        return pool_regions(maps.last, regions) + self.projection(early * self.scale)


class PerClassBoxHead(RegionHead):
    """Every class has box deltas of its own, which start as those that all classes share."""

    def __init__(self, googlenet: GoogLeNet) -> None:
        super().__init__(googlenet)
        shared = self.googlenet.box_regressor
        assert isinstance(shared, ScaledBoxRegressor)
        num_classes = googlenet.num_classes - 1
        self.linear = nn.Linear(googlenet.classifier.in_features * CELLS**2, num_classes * 4)
        with torch.no_grad():
            # rows c * 4 to c * 4 + 3 belong to class c
            self.linear.weight.copy_(shared.linear.weight.repeat(num_classes, 1))
            self.linear.bias.copy_(shared.linear.bias.repeat(num_classes))
        self.googlenet.box_regressor = None

    def _box_deltas(self, last: Tensor) -> Tensor:
        return self.linear(pooled_cells(last) * FEATURE_SCALE).unflatten(1, (-1, 4))


def make_heads(early_scale: float) -> dict[str, Callable[[GoogLeNet], RegionHead]]:
    """Returns name -> how to make the head out of the network; the control is the first.

    Args:
        early_scale: factor that brings the feature maps after module 3b to the size of those after stage 4.
    """
    return {
        "control": RegionHead,
        "context 1.5": lambda googlenet: ContextHead(googlenet, 1.5),
        "context 2": lambda googlenet: ContextHead(googlenet, 2.0),
        "photo context": PhotoContextHead,
        "3b and 4e": lambda googlenet: EarlyPoolingHead(googlenet, early_scale),
        "box deltas per class": PerClassBoxHead,
    }


def prepare_head(head: RegionHead, precision: torch.dtype) -> RegionHead:
    """Returns a copy of a head in the form in which a CPU computes it fastest; see `prepare_network`."""
    prepared = copy.deepcopy(head).to(precision).eval()
    prepare_network(prepared.googlenet, torch.device("cpu"), precision)
    return prepared.requires_grad_(False)


def enlarged_regions(regions: Tensor, factor: float) -> Tensor:
    """Enlarges regions [R, 4] in cells around the middles of their boxes.

    `regions_in_cells` moves a region by 6.5 of its 224 pixels to the right and down, so the larger one moves further.
    """
    low, high = regions[:, :2], regions[:, 2:]
    sides = high - low
    shift = sides * ((CELL_OFFSET - CROP_CELL_STRIDE / 2) / (CROP_CELL_STRIDE * BINS))
    center = (low + high) / 2 + (factor - 1) * shift
    half = sides / 2 * factor
    return torch.cat([center - half, center + half], dim=1)


def early_regions(regions: Tensor) -> Tensor:
    """Converts regions [R, 4] from cells of the feature maps after stage 4 to cells of those after module 3b.

    Cell i after stage 4 looks at pixel 16 i + 14.5, cell i after module 3b at pixel 8 i + 6.5, so that coordinate x
    becomes 2 x + 1.
    """
    return regions * 2 + 1


def stage4_channels(googlenet: GoogLeNet) -> int:
    """Returns the number of channels after stage 4; 832 in the published network."""
    channels = googlenet.get_submodule(f"inception_{googlenet.modules_of('4')[-1]}").out_channels
    assert isinstance(channels, int)
    return channels
