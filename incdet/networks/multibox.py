"""MultiBox: an image -> a box and a confidence for every prior (Erhan et al. 2014; Szegedy et al. 2014)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from incdet.networks.architectures import ARCHITECTURES, Architecture
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox_description import INPUT_SIZES as INPUT_SIZES  # users of the network need both
from incdet.networks.multibox_description import Form, MultiBoxDescription
from incdet.networks.multibox_heads import GridsHead, MapHead, PooledHead


class BoxOutputs(NamedTuple):
    """The result of MultiBox for B images and P priors.

    Attributes:
        corner_offsets: [B, P, 4], differences between the boxes' and the priors' corners, in units of
            `MultiBox.offset_unit`.
        logits: [B, P], logits of the confidence that an object is there.
    """

    corner_offsets: Tensor
    logits: Tensor


class MultiBox(nn.Module):
    """GoogLeNet's convolutions with locations and confidences on top.

    Args:
        priors: [P, 4] float32, corners normalised to [0, 1].
        form: the head; "grids" needs the priors of `grid_priors()`.
        architecture: variant of GoogLeNet.
        offset_unit: distance in the normalised image by which an output of 1 moves a corner. Google's release has 0.01.
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
        # the priors are stored in the weights' record, not among the tensors
        self.register_buffer("priors", priors.float(), persistent=False)
        trunk = GoogLeNet(1, architecture=architecture)
        channels = trunk.classifier.in_features
        # the head reads the last feature maps, so the classifier has no part in it and no tensors in the weights
        trunk.classifier = nn.Identity()  # type: ignore[assignment]
        self.trunk = trunk
        self.head = _make_head(form, channels, len(priors))

    @classmethod
    def from_description(cls, description: MultiBoxDescription, architecture: Architecture) -> "MultiBox":
        """Makes the network that `describe` described, with fresh weights."""
        return cls(torch.tensor(description.priors), description.form, architecture, description.offset_unit)

    def describe(self) -> MultiBoxDescription:
        """Describes the network for the weights' record; priors are rounded to a millionth of the image."""
        rows = [tuple(round(value, 6) for value in row) for row in self.get_buffer("priors").tolist()]
        return MultiBoxDescription(form=self.form, offset_unit=self.offset_unit, priors=rows)

    def forward(self, crops: Tensor) -> BoxOutputs:
        """Computes the outputs for every prior.

        Args:
            crops: [B, 3, S, S] float32, preprocessed; S is that of `INPUT_SIZES`.
        """
        rows = self.head(self.trunk.last_feature_maps(crops))  # [B, P, 5]
        return BoxOutputs(rows[..., :4], rows[..., 4])

    def decode(self, corner_offsets: Tensor) -> Tensor:
        """Corner offsets [B, P, 4] -> boxes [B, P, 4] float32, corners normalised to [0, 1] but not clipped."""
        return self.get_buffer("priors") + corner_offsets.float() * self.offset_unit

    def encode(self, boxes_unit: Tensor) -> Tensor:
        """Boxes [..., P, 4], corners normalised to [0, 1] -> the corner offsets that decode to them."""
        return (boxes_unit - self.get_buffer("priors")) / self.offset_unit


def _make_head(form: Form, channels: int, num_priors: int) -> nn.Module:
    if form == "pooled":
        return PooledHead(channels, num_priors)
    if form == "map":
        return MapHead(channels, num_priors)
    return GridsHead(channels)
