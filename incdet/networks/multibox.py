"""MultiBox: an image -> a box and a confidence for every prior (Erhan et al. 2014; Szegedy et al. 2014)."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from incdet.networks.architectures import ARCHITECTURES, Architecture
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import ConvReLU
from incdet.networks.priors import GRIDS, PRIORS_PER_CELL

Form = Literal["pooled", "map", "grids"]
"""What sees the features: one layer on their mean, one on the whole map, or MSC-MultiBox's convolutions per grid."""

INPUT_SIZES: dict[Form, int] = {"pooled": 224, "map": 224, "grids": 256}
"""A map of 7 x 7 cells, or of 8 x 8 for the finest grid."""


class BoxOutputs(NamedTuple):
    """What the network says about a batch.

    Attributes:
        offsets: [B, P, 4], what is added to the priors' corners, in units of `MultiBox.offset_unit`.
        logits: [B, P], whose sigmoid is the confidence that an object is there.
    """

    offsets: Tensor
    logits: Tensor


class MultiBoxDescription(BaseModel):
    """What a MultiBox is besides its tensors; a part of the weights' record.

    Attributes:
        form, offset_unit: see `MultiBox`.
        priors: P boxes, corners in shares of the image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    form: Form
    offset_unit: float = Field(gt=0)
    priors: tuple[tuple[float, float, float, float], ...] = Field(min_length=1)


class MultiBox(nn.Module):
    """GoogLeNet's convolutions with locations and confidences on top.

    Args:
        priors: [P, 4] float32, corners in shares of the image.
        form: what sees the features; "grids" needs `grid_priors()`.
        architecture: of the convolutions.
        offset_unit: shares of the image by which an output of 1 moves a corner (Google's release: 0.01).
    """

    def __init__(
        self,
        priors: Tensor,
        form: Form = "grids",
        architecture: Architecture = ARCHITECTURES["table"],
        offset_unit: float = 0.01,
    ) -> None:
        super().__init__()
        self.form, self.offset_unit = form, offset_unit
        self.register_buffer("priors", priors.float(), persistent=False)
        trunk = GoogLeNet(1, architecture=architecture)
        channels = trunk.classifier.in_features
        # the pooled features are read here, not there
        trunk.classifier = nn.Identity()  # type: ignore[assignment]
        self.trunk = trunk
        heads: dict[Form, Callable[[], nn.Module]] = {
            "pooled": lambda: PooledHead(channels, len(priors)),
            "map": lambda: MapHead(channels, len(priors)),
            "grids": lambda: GridsHead(channels),
        }
        self.head = heads[form]()

    @classmethod
    def from_description(cls, description: MultiBoxDescription, architecture: Architecture) -> "MultiBox":
        """The network that `describe` described."""
        return cls(torch.tensor(description.priors), description.form, architecture, description.offset_unit)

    def describe(self) -> MultiBoxDescription:
        """What is stored beside the tensors; priors to a millionth of the image."""
        rows = [tuple(round(value, 6) for value in row) for row in self.get_buffer("priors").tolist()]
        return MultiBoxDescription(form=self.form, offset_unit=self.offset_unit, priors=rows)

    def forward(self, crops: Tensor) -> BoxOutputs:
        """Preprocessed crops [B, 3, S, S], S as `INPUT_SIZES` says -> outputs for every prior."""
        rows = self.head(self.trunk.feature_map(crops))
        return BoxOutputs(rows[..., :4], rows[..., 4])

    def decode(self, offsets: Tensor) -> Tensor:
        """[B, P, 4] offsets -> [B, P, 4] boxes, corners in shares of the image, not clipped."""
        return self.get_buffer("priors") + offsets.float() * self.offset_unit

    def encode(self, boxes_unit: Tensor) -> Tensor:
        """[..., P, 4] boxes -> the offsets that decode to them."""
        return (boxes_unit - self.get_buffer("priors")) / self.offset_unit


class PooledHead(nn.Module):
    """One layer on the mean of the features, as in Google's release: [B, C, h, w] -> [B, P, 5]."""

    def __init__(self, channels: int, num_priors: int):
        super().__init__()
        self.outputs = nn.Linear(channels, num_priors * 5)
        _start_small(self.outputs)

    def forward(self, maps: Tensor) -> Tensor:
        return self.outputs(maps.mean(dim=(2, 3))).unflatten(1, (-1, 5))


class MapHead(nn.Module):
    """One layer on all 49 positions of the reduced features, which keeps where they are: [B, C, 7, 7] -> [B, P, 5]."""

    def __init__(self, channels: int, num_priors: int, reduced: int = 32, side: int = 7):
        super().__init__()
        self.reduce = ConvReLU(channels, reduced, 1)
        self.outputs = nn.Linear(reduced * side * side, num_priors * 5)
        _start_small(self.outputs)

    def forward(self, maps: Tensor) -> Tensor:
        return self.outputs(self.reduce(maps).flatten(1)).unflatten(1, (-1, 5))


class GridsHead(nn.Module):
    """MSC-MultiBox's convolutions: grids of 8, 6, 4, 3, 2 and 1 cells a side, [B, C, 8, 8] -> [B, P, 5].

    The paper's Figure 1 gives the grids and their order; widths are its 96, 128 and 256.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.to_8 = nn.Sequential(ConvReLU(channels, 96, 1), ConvReLU(96, 96, 3))
        self.to_6 = nn.Sequential(ConvReLU(channels, 96, 1), _Valid(96, 96, 3))
        self.to_4 = nn.Sequential(ConvReLU(channels, 128, 1), ConvReLU(128, 256, 3, stride=2))
        self.from_4 = nn.Sequential(ConvReLU(256, 128, 1), ConvReLU(128, 96, 3))
        self.to_3 = nn.Sequential(ConvReLU(256, 128, 1), _Valid(128, 96, 2))
        self.to_2 = nn.Sequential(ConvReLU(256, 128, 1), _Valid(128, 96, 3))
        self.outputs = nn.ModuleList(nn.Conv2d(96, PRIORS_PER_CELL * 5, 1) for _ in GRIDS)
        self.whole = nn.Linear(channels, 5)
        for layer in (*self.outputs, self.whole):
            _start_small(layer)

    def forward(self, maps: Tensor) -> Tensor:
        four = self.to_4(maps)
        grids = (self.to_8(maps), self.to_6(maps), self.from_4(four), self.to_3(four), self.to_2(four))
        rows = [
            # [B, shapes * 5, y, x] -> [B, y * x * shapes, 5]
            layer(grid).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 5))
            for layer, grid in zip(self.outputs, grids, strict=True)
        ]
        return torch.cat([*rows, self.whole(maps.mean(dim=(2, 3)))[:, None]], dim=1)


class _Valid(nn.Conv2d):
    """Convolution without padding + ReLU, started as the others."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__(in_channels, out_channels, kernel_size)
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.constant_(self.bias, 0.2)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu_()


RARE_LOGIT = -4.0
"""At the start every prior says "no object": nearly all of them are right."""


def _start_small(layer: nn.Module) -> None:
    """The first boxes are the priors, all with the same low confidence."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=0.001)
    with torch.no_grad():
        layer.bias.zero_().view(-1, 5)[:, 4] = RARE_LOGIT
