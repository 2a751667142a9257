"""GoogLeNet as published: "Going Deeper with Convolutions", in the layout of Caffe's release, and its variants."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.networks.architectures import ARCHITECTURES, Architecture
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.inception import (
    ConvNormReLU,
    ConvReLU,
    ConvUnit,
    Dropout,
    Inception,
    LocalResponseNorm,
    NaiveInception,
    SeparableConvReLU,
)
from incdet.ops.pooling import max_pool

INPUT_SIZE = 224


class Logits(NamedTuple):
    """What the network says about a batch: main logits [B, C], and those of the heads on 4a and 4d or None."""

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
        """[B, in, 14, 14] -> logits [B, C]."""
        pooled = F.adaptive_avg_pool2d(input, 4) if self.adaptive else F.avg_pool2d(input, 5, stride=3)
        return self.classifier(self.dropout(F.relu(self.hidden(self.reduce(pooled).flatten(1)))))


class GoogLeNet(nn.Module):
    """GoogLeNet with any number of outputs; 6,998,552 parameters with 1000 (FACTS: measured from Table 1).

    Args:
        num_classes: columns of the output; a region classifier's last column is background.
        auxiliary: also build the two heads of section 5, which only training uses.
        dropout: share of the pooled features dropped in training; None is the architecture's (40 % in the paper).
        architecture: which of the variants.

    Attributes:
        box_regressor: what corrects the boxes of regions, where one has been fitted; its file lies beside the weights.
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
        self.conv1 = SeparableConvReLU(3, 64, 7, stride=2) if separable else unit(3, 64, 7, stride=2)
        self.norm1 = nn.Identity() if architecture.batch_norm else LocalResponseNorm(64)
        self.conv2_reduce = unit(64, 64, 1)
        self.conv2 = unit(64, 192, 3)
        self.norm2 = nn.Identity() if architecture.batch_norm else LocalResponseNorm(192)
        channels = 192
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

    @property
    def num_classes(self) -> int:
        """Columns of the output."""
        return self.classifier.out_features

    def lower_layers(self, count: int) -> list[nn.Module]:
        """The layers of stages 1 to `count`; max pools lie between the five stages of Table 1."""
        stages: list[list[nn.Module]] = [[self.conv1], [self.conv2_reduce, self.conv2]]
        stages += [[self.get_submodule(f"inception_{name}") for name in self.modules_of(stage)] for stage in "345"]
        return [layer for stage in stages[:count] for layer in stage]

    def forward(self, crops: Tensor) -> Logits:
        """Preprocessed crops [B, 3, 224, 224] -> logits; the pooling rounds sizes up, as Caffe's does."""
        return self.classify(self.trunk(crops))

    def feature_map(self, crops: Tensor) -> Tensor:
        """Preprocessed crops [B, 3, S, S] -> what leaves the last module, [B, 1024, S / 32, S / 32] as published."""
        return self._last_maps(self.trunk(crops))[0]

    def trunk(self, crops: Tensor) -> Tensor:
        """Stages 1 to 3, which an ensemble can share: crops [B, 3, S, S] -> [B, 480, S / 16, S / 16] as published."""
        maps = max_pool(self.conv1(crops), 3, stride=2)
        maps = self.conv2(self.conv2_reduce(self.norm1(maps)))
        maps = max_pool(self.norm2(maps), 3, stride=2)
        for name in self.modules_of("3"):
            maps = self.get_submodule(f"inception_{name}")(maps)
        return max_pool(maps, 3, stride=2)

    def classify(self, maps: Tensor) -> Logits:
        """The rest of the network: what `trunk` gives -> logits."""
        maps, auxiliary_4a, auxiliary_4d = self._last_maps(maps)
        return Logits(self._main_logits(maps), auxiliary_4a, auxiliary_4d)

    def head(self, maps: Tensor) -> Tensor:
        """The main logits of `classify` and, where there is a regression, four corrections of the box after them:
        [B, columns] or [B, columns + 4].
        """
        maps = self._last_maps(maps)[0]
        logits = self._main_logits(maps)
        return logits if self.box_regressor is None else torch.cat([logits, self.box_regressor(maps)], dim=1)

    def _main_logits(self, last_maps: Tensor) -> Tensor:
        return self.classifier(self.dropout(last_maps.mean(dim=(2, 3))))

    def _last_maps(self, maps: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        auxiliary: dict[str, Tensor | None] = {"4a": None, "4d": None}
        heads = {"4a": self.auxiliary_4a, "4d": self.auxiliary_4d}
        for name in self.modules_of("4"):
            maps = self.get_submodule(f"inception_{name}")(maps)
            if (head := heads.get(name)) is not None:
                auxiliary[name] = head(maps)
        maps = max_pool(maps, self.architecture.last_pool, stride=2)
        for name in self.modules_of("5"):
            maps = self.get_submodule(f"inception_{name}")(maps)
        return maps, auxiliary["4a"], auxiliary["4d"]

    def modules_of(self, stage: str) -> list[str]:
        """Names of a stage's Inception modules, such as 3a and 3b of stage "3"."""
        return [name for name in self.architecture.modules if name[0] == stage]
