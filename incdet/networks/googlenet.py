"""GoogLeNet as published: "Going Deeper with Convolutions", in the layout of Caffe's release, and its variants."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.networks.architectures import ARCHITECTURES, CONV2_CHANNELS, Architecture
from incdet.networks.architectures import INPUT_SIZE as INPUT_SIZE  # users of the network need it
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.conv_units import ConvNormReLU, ConvReLU, ConvUnit, SeparableConvReLU
from incdet.networks.dropout import Dropout
from incdet.networks.inception import Inception, NaiveInception
from incdet.networks.response_norm import LocalResponseNorm
from incdet.ops.pooling import max_pool


class Logits(NamedTuple):
    """The result of a network for B crops.

    Attributes:
        main: [B, C] logits of the classifier.
        auxiliary_4a: [B, C] logits of the auxiliary head on module 4a; None where the network has none.
        auxiliary_4d: [B, C] logits of the auxiliary head on module 4d; None where the network has none.
    """

    main: Tensor
    auxiliary_4a: Tensor | None
    auxiliary_4d: Tensor | None


class AuxiliaryHead(nn.Module):
    """The auxiliary classifier of section 5: average pool 5x5/3, 1x1 convolution, 1024 units, dropout 70 %."""

    def __init__(self, in_channels: int, num_classes: int, unit: ConvUnit = ConvReLU, adaptive: bool = False):
        super().__init__()
        self.adaptive = adaptive
        self.reduce = unit(in_channels, 128, 1)
        self.hidden = nn.Linear(128 * 4 * 4, 1024)
        self.dropout = Dropout(0.7)
        self.classifier = nn.Linear(1024, num_classes)

    def forward(self, input: Tensor) -> Tensor:
        """[B, in_channels, 14, 14] -> logits [B, C]."""
        # windows of 5x5 with stride 3 and no padding make 4x4 of 14x14
        pooled = F.adaptive_avg_pool2d(input, 4) if self.adaptive else F.avg_pool2d(input, 5, stride=3)
        hidden = F.relu(self.hidden(self.reduce(pooled).flatten(1)))
        return self.classifier(self.dropout(hidden))


class GoogLeNet(nn.Module):
    """GoogLeNet with any number of outputs; 6,998,552 parameters with 1000.

    `forward` is `trunk` (stages 1 to 3), stages 4 and 5, and the classifier. A detector calls `trunk` and `head` for
    crops, so that the members of an ensemble can share the trunk. With shared features it calls `photo_features` for
    the whole photo and `region_head` for regions pooled from the result; see `incdet/ops/region_pooling.py`. Training
    calls `forward`, which has the auxiliary logits, too.

    Args:
        num_classes: number of columns of the output; the last column of a region classifier is background.
        auxiliary: whether to build the two heads of section 5, which only training uses.
        dropout: share of the pooled features that training drops; None is the architecture's (0.4 in the paper).
        architecture: one of the variants.

    Attributes:
        architecture: the variant.
        box_regressor: predicts box deltas of regions; None where there is none. Weights for shared features hold it
            themselves, because it is trained with them; for those for crops it is fitted later and stored in a
            sidecar file.
    """

    def __init__(
        self,
        num_classes: int,
        auxiliary: bool = False,
        dropout: float | None = None,
        architecture: Architecture = ARCHITECTURES["table"],
    ) -> None:
        super().__init__()
        self.architecture = architecture
        unit: ConvUnit = ConvNormReLU if architecture.batch_norm else ConvReLU
        module = NaiveInception if architecture.naive else Inception
        separable = architecture.separable_conv1
        # stages 1 and 2; the names of all layers are those of stored weights
        self.conv1 = SeparableConvReLU(3, 64, 7, stride=2) if separable else unit(3, 64, 7, stride=2)
        self.norm1 = nn.Identity() if architecture.batch_norm else LocalResponseNorm(64)
        self.conv2_reduce = unit(64, 64, 1)
        self.conv2 = unit(64, CONV2_CHANNELS, 3)
        self.norm2 = nn.Identity() if architecture.batch_norm else LocalResponseNorm(CONV2_CHANNELS)
        # stages 3 to 5, with the auxiliary heads on 4a and 4d
        channels = CONV2_CHANNELS
        heads: dict[str, AuxiliaryHead | None] = {"4a": None, "4d": None}
        for name, widths in architecture.modules.items():
            inception = module(channels, widths, unit, architecture.branch_5x5)
            self.add_module(f"inception_{name}", inception)
            channels = inception.out_channels
            if auxiliary and name in heads:
                heads[name] = AuxiliaryHead(channels, num_classes, unit, architecture.adaptive_heads)
        self.dropout = Dropout(architecture.dropout if dropout is None else dropout)
        self.classifier = nn.Linear(channels, num_classes)
        self.auxiliary_4a, self.auxiliary_4d = heads["4a"], heads["4d"]
        self.box_regressor: BoxRegressor | None = None

    def forward(self, crops: Tensor) -> Logits:
        """Classifies crops.

        Args:
            crops: [B, 3, S, S] float32, preprocessed; S is 224 as published.
        """
        feature_maps, auxiliary_4a, auxiliary_4d = self._stages_4_and_5(self.trunk(crops))
        return Logits(self._classify(feature_maps), auxiliary_4a, auxiliary_4d)

    def trunk(self, crops: Tensor) -> Tensor:
        """Computes stages 1 to 3, which the members of an ensemble can share.

        Args:
            crops: [B, 3, S, S] float32, preprocessed.

        Returns:
            Feature maps [B, 480, s, s] of the published network; s is S / 2, rounded up, divided by 8 and rounded down,
            as in Caffe.
        """
        # sizes for S = 224
        feature_maps = max_pool(self.conv1(crops), 3, stride=2)  # [B, 64, 56, 56]
        feature_maps = self.conv2(self.conv2_reduce(self.norm1(feature_maps)))  # [B, 192, 56, 56]
        feature_maps = max_pool(self.norm2(feature_maps), 3, stride=2)  # [B, 192, 28, 28]
        return max_pool(self._inceptions("3", feature_maps), 3, stride=2)  # [B, 480, 14, 14]

    def head(self, feature_maps: Tensor) -> Tensor:
        """Computes stages 4 and 5, the classifier and, where there is one, the box regressor.

        Args:
            feature_maps: the result of `trunk`.

        Returns:
            Logits [B, C] or, with a box regressor, [B, C + 4] with box deltas behind the logits.
        """
        feature_maps, _, _ = self._stages_4_and_5(feature_maps)
        return self._outputs(feature_maps)

    def photo_features(self, photos: Tensor) -> Tensor:
        """Computes stages 1 to 4 of whole photos, out of which regions are pooled.

        Args:
            photos: [B, 3, H, W] float32, preprocessed, of any size.

        Returns:
            Feature maps [B, 832, h, w] of the published network; h is H / 2, rounded up, divided by 8 and rounded down,
            as in Caffe, and so is w.
        """
        return self._inceptions("4", self.trunk(photos))

    def region_head(self, pooled: Tensor) -> Tensor:
        """Computes stage 5, the classifier and, where there is one, the box regressor, of pooled regions.

        Args:
            pooled: [R, 832, 7, 7], as `pool_regions` returns them from the result of `photo_features`.

        Returns:
            Logits [R, C] or, with a box regressor, [R, C + 4] with box deltas behind the logits.
        """
        return self._outputs(self.region_features(pooled))

    def region_features(self, pooled: Tensor) -> Tensor:
        """Computes stage 5 of pooled regions: [R, 832, 7, 7] -> [R, 1024, 7, 7] of the published network."""
        return self._inceptions("5", pooled)

    def last_feature_maps(self, crops: Tensor) -> Tensor:
        """Computes stages 1 to 5: crops [B, 3, S, S] -> [B, 1024, s, s] of the published network.

        The side s is S / 2, rounded up, divided by 16 and rounded down, as in Caffe.
        """
        feature_maps, _, _ = self._stages_4_and_5(self.trunk(crops))
        return feature_maps

    def _stages_4_and_5(self, feature_maps: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The last feature maps, and the logits of the two auxiliary heads, or None without them."""
        heads = {"4a": self.auxiliary_4a, "4d": self.auxiliary_4d}
        auxiliary: dict[str, Tensor | None] = {"4a": None, "4d": None}
        for name in self.modules_of("4"):
            feature_maps = self.get_submodule(f"inception_{name}")(feature_maps)
            head = heads.get(name)
            if head is not None:
                auxiliary[name] = head(feature_maps)
        feature_maps = max_pool(feature_maps, self.architecture.last_pool, stride=2)  # [B, 832, 7, 7]
        return self._inceptions("5", feature_maps), auxiliary["4a"], auxiliary["4d"]

    def _inceptions(self, stage: str, feature_maps: Tensor) -> Tensor:
        """The Inception modules of a stage, one after the other."""
        for name in self.modules_of(stage):
            feature_maps = self.get_submodule(f"inception_{name}")(feature_maps)
        return feature_maps

    def _outputs(self, last_feature_maps: Tensor) -> Tensor:
        """[B, 1024, h, w] -> logits [B, C], with box deltas [B, 4] behind them where there is a box regressor."""
        logits = self._classify(last_feature_maps)
        if self.box_regressor is None:
            return logits
        return torch.cat([logits, self.box_regressor(last_feature_maps)], dim=1)

    def _classify(self, last_feature_maps: Tensor) -> Tensor:
        """[B, 1024, 7, 7] -> logits [B, C]."""
        # the mean over all positions is the paper's 7x7 average pool, for any input size
        return self.classifier(self.dropout(last_feature_maps.mean(dim=(2, 3))))

    @property
    def num_classes(self) -> int:
        """Number of columns of the output, C."""
        return self.classifier.out_features

    def modules_of(self, stage: str) -> list[str]:
        """Names of a stage's Inception modules, such as 3a and 3b of stage "3"."""
        return [name for name in self.architecture.modules if name[0] == stage]

    def lower_layers(self, num_stages: int) -> list[nn.Module]:
        """The layers with weights of stages 1 to `num_stages`; Table 1 has five stages."""
        stages: list[list[nn.Module]] = [[self.conv1], [self.conv2_reduce, self.conv2]]
        for stage in "345":
            stages.append([self.get_submodule(f"inception_{name}") for name in self.modules_of(stage)])
        return [layer for stage_layers in stages[:num_stages] for layer in stage_layers]
