"""GoogLeNet on shared features as training computes it: photos and regions in, logits and box deltas out."""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from incdet.networks.box_regression import CELLS, BoxRegressor, pooled_cells
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.region_pooling import pool_regions

DELTA_SCALE = (0.1, 0.1, 0.2, 0.2)
"""Numbers by which the learnt box deltas are divided, so that they are about as large as 1 (Fast R-CNN's values)."""

FEATURE_SCALE = 0.3
"""Factor of the box regressor's 9,216 inputs in training. Without it the learning rate of the other layers would be
too high for that number of inputs."""

NEW_REGRESSOR_DEVIATION = 0.001
"""Standard deviation of a new box regressor's weights (Fast R-CNN)."""


class ScaledBoxRegressor(BoxRegressor):
    """The box regressor in training: it takes scaled inputs and predicts box deltas divided by `DELTA_SCALE`.

    `folded` gives a box regressor of plain weights with the same outputs, which is the one that is stored.
    """

    def forward(self, feature_maps: Tensor) -> Tensor:
        """Last feature maps [B, channels, H, W] -> box deltas [B, 4], divided by `DELTA_SCALE`."""
        return self.linear(pooled_cells(feature_maps) * FEATURE_SCALE)

    @torch.no_grad()
    def folded(self) -> BoxRegressor:
        """Returns the box regressor that predicts plain box deltas from plain inputs."""
        plain = BoxRegressor(self.linear.in_features // CELLS**2)
        scale = self.linear.weight.new_tensor(DELTA_SCALE)
        plain.linear.weight.copy_(self.linear.weight * FEATURE_SCALE * scale[:, None])
        plain.linear.bias.copy_(self.linear.bias * scale)
        return plain.to(self.linear.weight.device)

    @classmethod
    @torch.no_grad()
    def unfolded(cls, plain: BoxRegressor) -> "ScaledBoxRegressor":
        """Returns the box regressor whose `folded` is this one."""
        scaled = cls(plain.linear.in_features // CELLS**2)
        scale = torch.tensor(DELTA_SCALE)
        scaled.linear.weight.copy_(plain.linear.weight / FEATURE_SCALE / scale[:, None])
        scaled.linear.bias.copy_(plain.linear.bias / scale)
        return scaled

    @classmethod
    @torch.no_grad()
    def drawn(cls, channels: int, seed: int) -> "ScaledBoxRegressor":
        """Returns a new box regressor: Gaussian weights and zero biases.

        Args:
            channels: number of channels of the network's last feature maps.
            seed: seed of the weights.
        """
        new = cls(channels)
        generator = torch.Generator().manual_seed(seed)
        new.linear.weight.copy_(torch.randn(new.linear.weight.shape, generator=generator) * NEW_REGRESSOR_DEVIATION)
        new.linear.bias.zero_()
        return new


class RegionOutputs(NamedTuple):
    """The outputs of the network for R regions of each of B photos.

    Attributes:
        logits: [B, R, C + 1] float32.
        box_deltas: [B, R, 4] float32, divided by `DELTA_SCALE`.
        rows: [B, R] int64, numbers of the regions among those that were given; None is all of them.
    """

    logits: Tensor
    box_deltas: Tensor
    rows: Tensor | None


ChooseRegions = Callable[[RegionOutputs], Tensor]
"""The outputs for all regions -> numbers [B, K] int64 of the K regions of each photo that are learnt."""


class SharedNetwork(nn.Module):
    """Stages 1 to 4 over photos, then stage 5, the classifier and the box regressor over regions pooled from them.

    Args:
        googlenet: the network, with a `ScaledBoxRegressor`.
    """

    def __init__(self, googlenet: GoogLeNet) -> None:
        super().__init__()
        self.googlenet = googlenet

    def forward(
        self,
        inputs: Sequence[Tensor],
        regions: Tensor,
        are_feature_maps: bool = False,
        choose: ChooseRegions | None = None,
    ) -> RegionOutputs:
        """Classifies regions.

        Args:
            inputs: B photos [1, 3, H, W], preprocessed, or their feature maps.
            regions: [B, R, 4] float32, in cells of the feature maps.
            are_feature_maps: whether the inputs are feature maps, as `GoogLeNet.photo_features` computes them.
            choose: chooses the regions that are learnt by outputs that are computed without gradients first; None
                learns all of them.
        """
        feature_maps = list(inputs) if are_feature_maps else [self.googlenet.photo_features(photo) for photo in inputs]
        rows = None
        if choose is not None:
            rows = choose(self._candidates(feature_maps, regions))
            regions = regions.gather(1, rows[:, :, None].expand(-1, -1, 4))
        return self._classify(feature_maps, regions)._replace(rows=rows)

    @torch.no_grad()
    def _candidates(self, feature_maps: Sequence[Tensor], regions: Tensor) -> RegionOutputs:
        """The outputs for all regions, without dropout."""
        was_training = [(module, module.training) for module in self.modules()]
        self.eval()
        outputs = self._classify(feature_maps, regions)
        for module, mode in was_training:
            module.training = mode
        return outputs

    def _classify(self, feature_maps: Sequence[Tensor], regions: Tensor) -> RegionOutputs:
        num_photos, num_regions, _ = regions.shape
        pooled = [pool_regions(maps, cells) for maps, cells in zip(feature_maps, regions, strict=True)]
        # the photos take turns, region by region: N processes with B photos each draw the dropout that one process
        # with N * B photos draws, because sample i of the joint batch belongs to process i modulo N
        channels_last = torch.stack([maps.permute(0, 2, 3, 1) for maps in pooled], dim=1)  # [R, B, 7, 7, 832]
        batch = channels_last.flatten(0, 1).permute(0, 3, 1, 2)  # [R * B, 832, 7, 7]
        outputs = self.googlenet.region_head(batch).float()
        outputs = outputs.reshape(num_regions, num_photos, -1).transpose(0, 1)  # [B, R, C + 1 + 4]
        return RegionOutputs(outputs[:, :, :-4], outputs[:, :, -4:], None)


def plain_network(network: SharedNetwork) -> GoogLeNet:
    """Returns a copy of the network as inference knows it: its box regressor predicts plain box deltas."""
    plain = copy.deepcopy(network.googlenet)
    assert isinstance(plain.box_regressor, ScaledBoxRegressor)
    plain.box_regressor = plain.box_regressor.folded()
    return plain
