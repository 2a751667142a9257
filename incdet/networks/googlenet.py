"""GoogLeNet as published: Table 1 of "Going Deeper with Convolutions", in the layout of Caffe's release."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from incdet.networks.inception import ConvReLU, Inception, InceptionWidths, LocalResponseNorm

TABLE_1 = {
    "3a": InceptionWidths(64, 96, 128, 16, 32, 32),
    "3b": InceptionWidths(128, 128, 192, 32, 96, 64),
    "4a": InceptionWidths(192, 96, 208, 16, 48, 64),
    "4b": InceptionWidths(160, 112, 224, 24, 64, 64),
    "4c": InceptionWidths(128, 128, 256, 24, 64, 64),
    "4d": InceptionWidths(112, 144, 288, 32, 64, 64),
    "4e": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5a": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5b": InceptionWidths(384, 192, 384, 48, 128, 128),
}
"""The Inception modules of the paper's Table 1, in order."""

INPUT_SIZE = 224
FEATURES = TABLE_1["5b"].output


class Logits(NamedTuple):
    """What the network says about a batch: main logits [B, C], and those of the heads on 4a and 4d or None."""

    main: Tensor
    auxiliary_4a: Tensor | None
    auxiliary_4d: Tensor | None


class AuxiliaryHead(nn.Module):
    """The auxiliary classifier of section 5: average pool 5x5/3, 1x1 convolution, 1024 units, dropout 70 %."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        self.reduce = ConvReLU(in_channels, 128, 1)
        self.hidden = nn.Linear(128 * 4 * 4, 1024)
        self.dropout = nn.Dropout(0.7)
        self.classifier = nn.Linear(1024, num_classes)

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, 14, 14] -> logits [B, C]."""
        reduced = self.reduce(F.avg_pool2d(input, 5, stride=3)).flatten(1)
        return self.classifier(self.dropout(F.relu(self.hidden(reduced))))


class GoogLeNet(nn.Module):
    """GoogLeNet with any number of outputs; 6,998,552 parameters with 1000 (FACTS: measured from Table 1).

    Args:
        num_classes: columns of the output; a region classifier's last column is background.
        auxiliary: also build the two heads of section 5, which only training uses.
        dropout: share of the 1024 pooled features dropped in training (40 % in the paper).
    """

    def __init__(self, num_classes: int, auxiliary: bool = False, dropout: float = 0.4):
        super().__init__()
        self.conv1 = ConvReLU(3, 64, 7, stride=2)
        self.norm1 = LocalResponseNorm(64)
        self.conv2_reduce = ConvReLU(64, 64, 1)
        self.conv2 = ConvReLU(64, 192, 3)
        self.norm2 = LocalResponseNorm(192)
        channels = self.conv2.out_channels
        for name, widths in TABLE_1.items():
            self.add_module(f"inception_{name}", Inception(channels, widths))
            channels = widths.output
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, num_classes)
        self.auxiliary_4a = AuxiliaryHead(TABLE_1["4a"].output, num_classes) if auxiliary else None
        self.auxiliary_4d = AuxiliaryHead(TABLE_1["4d"].output, num_classes) if auxiliary else None

    @property
    def num_classes(self) -> int:
        """Columns of the output."""
        return self.classifier.out_features

    def forward(self, crops: Tensor) -> Logits:
        """Preprocessed crops [B, 3, 224, 224] -> logits; the pooling rounds sizes up, as Caffe's does."""
        maps = _halve(self.conv1(crops))
        maps = self.conv2(self.conv2_reduce(self.norm1(maps)))
        maps = _halve(self.norm2(maps))
        auxiliary: dict[str, Tensor | None] = {"4a": None, "4d": None}
        heads = {"4a": self.auxiliary_4a, "4d": self.auxiliary_4d}
        for name in TABLE_1:
            maps = self.get_submodule(f"inception_{name}")(maps)
            if (head := heads.get(name)) is not None:
                auxiliary[name] = head(maps)
            if name in ("3b", "4e"):
                maps = _halve(maps)
        features = maps.mean(dim=(2, 3))
        return Logits(self.classifier(self.dropout(features)), auxiliary["4a"], auxiliary["4d"])


def _halve(maps: Tensor) -> Tensor:
    return F.max_pool2d(maps, 3, stride=2, ceil_mode=True)
