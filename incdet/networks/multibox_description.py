"""The parts of a weights' record that describe MultiBox, on crops or on shared feature maps; known without torch."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Form = Literal["pooled", "map", "grids"]
"""The head: one layer on the mean of the features, one layer on all positions, or MSC-MultiBox's grids."""

INPUT_SIZES: dict[Form, int] = {"pooled": 224, "map": 224, "grids": 256}
"""Head -> side of the input in pixels. 224 gives last feature maps of 7 x 7 cells; the finest grid needs 8 x 8."""

FEATURE_CHANNELS = 832
"""Number of channels of the feature maps that a MultiBox on shared feature maps reads: those of the published network's
stages 1 to 4."""

PriorSide = Annotated[float, Field(ge=4, le=4096)]
AspectRatio = Annotated[float, Field(ge=0.05, le=20)]
PriorSides = tuple[Annotated[tuple[PriorSide, ...], Field(min_length=1, max_length=16)], ...]
"""For each grid, from fine to coarse, the sides of its priors in pixels of the resized photo: roots of their areas."""


class MultiBoxDescription(BaseModel):
    """Everything about a MultiBox but its tensors; a part of the weights' record.

    Attributes:
        form: the head.
        offset_unit: distance in the image, normalised to [0, 1], by which an output of 1 moves a corner.
        priors: P boxes, corners normalised to [0, 1].
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    form: Form
    offset_unit: float = Field(gt=0)
    priors: tuple[tuple[float, float, float, float], ...] = Field(min_length=1)


class SharedMultiBoxDescription(BaseModel):
    """Everything about a MultiBox on shared feature maps but its tensors; a part of the weights' record.

    Attributes:
        form: always "shared".
        offset_unit: share of a prior's width or height by which an output of 1 moves a corner.
        prior_sides: sides of the priors of each grid, in pixels of the resized photo.
        aspect_ratios: widths of the priors divided by their heights; each grid has every one at each of its sides.
        channels: number of channels of the layers between the feature maps and the outputs.
        network: name or file of the region network whose feature maps the layers have learnt to read.
        signature: numbers that tell stages 1 to 4 of this network from those of others, see
            `networks/stage_signature.py`. Another network with equal stages serves as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    form: Literal["shared"] = "shared"
    offset_unit: float = Field(gt=0)
    prior_sides: PriorSides = Field(min_length=1, max_length=8)
    aspect_ratios: tuple[AspectRatio, ...] = Field(min_length=1, max_length=16)
    channels: int = Field(ge=1, le=4096)
    network: str
    signature: tuple[float, ...]
