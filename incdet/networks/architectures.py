"""The networks that this project knows as GoogLeNet: one table of numbers each, which are known without torch."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from incdet.config.near_names import nearest_names
from incdet.errors import ConfigurationError

INPUT_SIZE = 224
"""Side of the square input in pixels."""


CONV2_CHANNELS = 192
"""Number of channels that the first Inception module takes, whatever the architecture."""


class InceptionWidths(NamedTuple):
    """One row of the paper's Table 1: the number of filters of every convolution of a module."""

    conv_1x1: int
    reduce_3x3: int
    conv_3x3: int
    reduce_5x5: int
    conv_5x5: int
    pool_projection: int

    @property
    def output(self) -> int:
        """Number of channels that leave the module: its four branches, concatenated."""
        return self.conv_1x1 + self.conv_3x3 + self.conv_5x5 + self.pool_projection


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

# The table contradicts itself: its column of operations fits only 204 filters in 4a and 48 in 5a, the numbers of the
# network that Google released as inception5h. Caffe and torchvision copied the columns of filters, 208 and 32.
RELEASED = TABLE_1 | {
    "4a": TABLE_1["4a"]._replace(conv_3x3=204),
    "5a": TABLE_1["5a"]._replace(reduce_5x5=48),
}
"""The Inception modules of the network that Google released."""


def _widened(widths: InceptionWidths) -> InceptionWidths:
    """A quarter more filters, rounded to a multiple of eight."""
    return InceptionWidths(*(round(width * 1.25 / 8) * 8 for width in widths))


# The paper's ensemble has one wider network, of which it says no more. Ours has a quarter more filters, and one more
# module in each of the stages 4 and 5.
_WIDENED = {name: _widened(widths) for name, widths in TABLE_1.items()}
WIDE = {
    **{name: widths for name, widths in _WIDENED.items() if name < "5a"},
    "4f": _WIDENED["4e"],
    "5a": _WIDENED["5a"],
    "5b": _WIDENED["5b"],
    "5c": _WIDENED["5b"],
}
"""The Inception modules of the wider and deeper network, in order."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """The differences between one GoogLeNet and another.

    Attributes:
        name: name in the record of weights.
        description: one line for people.
        modules: name -> widths of each Inception module, in order. The first character is the stage; a max pool lies
            between two stages.
        separable_conv1: whether the first convolution is depthwise (8 filters per colour) and then 1x1. The 2.7K
            parameters and 34M operations that Table 1 prints belong to it.
        naive: whether modules are those of Figure 2(a) instead of 2(b): no reductions before the large filters, no
            projection after the pool.
        batch_norm: whether every convolution has batch normalisation instead of a bias, and response normalisation is
            left out.
        branch_5x5: size of the filters that are called 5x5.
        last_pool: size of the max pool before stage 5.
        adaptive_heads: whether the auxiliary heads pool to 4x4 whatever the size of their input, instead of by 5x5
            windows with stride 3.
        dropout: share of the pooled features that training drops.
    """

    name: str
    description: str
    modules: dict[str, InceptionWidths]
    separable_conv1: bool = False
    naive: bool = False
    batch_norm: bool = False
    branch_5x5: int = 5
    last_pool: int = 3
    adaptive_heads: bool = False
    dropout: float = 0.4

    @property
    def plain(self) -> bool:
        """Whether the network is built of the published network's pieces, whatever their number and width."""
        return not (self.batch_norm or self.naive or self.separable_conv1)

    @property
    def feature_channels(self) -> int:
        """Number of channels of the feature maps that stages 1 to 4 compute of a photo."""
        channels = CONV2_CHANNELS
        for name, widths in self.modules.items():
            if name < "5":
                # a naive module passes the pooled input on as it is, without a projection
                kept = channels - widths.pool_projection if self.naive else 0
                channels = widths.output + kept
        return channels


_TABLE = Architecture("table", "Table 1 of the paper, with a full first convolution: Caffe's GoogLeNet", TABLE_1)
_RELEASED = Architecture("released", "the modules of the network that Google released (inception5h)", RELEASED)

_ALL = (
    _TABLE,
    replace(
        _TABLE,
        name="table-separable",
        description="Table 1 with its 2.7K parameters in the first convolution",
        separable_conv1=True,
    ),
    _RELEASED,
    replace(
        _RELEASED,
        name="released-separable",
        description="the network to which the operations printed in Table 1 belong",
        separable_conv1=True,
    ),
    replace(_TABLE, name="naive", description="the naive modules of Figure 2(a)", naive=True),
    Architecture("wide", "deeper and wider, for the ensemble: a quarter more filters, modules 4f and 5c", WIDE),
    replace(
        _TABLE,
        name="batchnorm",
        description="Table 1 with batch normalisation: trains from scratch easily",
        batch_norm=True,
        adaptive_heads=True,
    ),
    # pytorch/vision #906: its "5x5" branch has 3x3 filters; max pool 4 is 2x2, dropout 0.2
    Architecture(
        "torchvision",
        "torchvision's variant, for its weights: batch normalisation, 3x3 filters in the 5x5 branch",
        TABLE_1,
        batch_norm=True,
        branch_5x5=3,
        last_pool=2,
        adaptive_heads=True,
        dropout=0.2,
    ),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}
"""Name in the record of weights -> architecture."""

EVERY = "all"
"""The name that stands for all networks where they are listed."""


def check_network_name(name: str) -> None:
    """Makes sure that a name is one of `ARCHITECTURES`, or "all".

    Raises:
        ConfigurationError: There is no such network; the message has the nearest one.
    """
    if name == EVERY or name in ARCHITECTURES:
        return
    nearest = nearest_names(name, ARCHITECTURES)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(ARCHITECTURES)}; {EVERY} lists them"
    raise ConfigurationError(f"there is no network '{name}'; {hint}")
