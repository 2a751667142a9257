"""The settings of a training of MultiBox that shared features have and crops do not."""

from typing import Annotated

from pydantic import Field, model_validator

from incdet.config.sections import Section, Unit
from incdet.networks.multibox_description import AspectRatio, PriorSides
from incdet.ops.photo_scaling import MIN_SIDE

Side = Annotated[int, Field(ge=MIN_SIDE, le=4096)]


class SharedMultiBoxConfig(Section):
    """The layers that read shared feature maps, and the photos that they learn from.

    Attributes:
        photo_sides: smallest and largest length to which the shorter side of a photo is resized, in pixels. The longer
            side is at most 1.8 times as long.
        prior_sides: sides of the priors of each grid, in pixels of the resized photo: the roots of their areas. The
            cells of the first grid are 16 pixels apart, those of each further grid twice as far.
        aspect_ratios: widths of the priors divided by their heights; each grid has every one at each of its sides.
        offset_unit: share of a prior's width or height by which an output of 1 moves a corner.
        channels: number of channels of the layers between the feature maps and the outputs.
        flip_probability: share of the photos that are mirrored.
        color_gain: strength x of the change of contrast: the colours are multiplied by a factor from 1 - x to 1 + x.
        color_shift: largest number of grey levels that are added to all colours or taken from them; each of the three
            colours is shifted by up to half of it besides.
    """

    photo_sides: tuple[Side, Side] = (352, 832)
    prior_sides: PriorSides = Field(((32.0, 48.0), (68.0, 96.0), (136.0, 192.0), (272.0, 384.0, 544.0)), min_length=1)
    aspect_ratios: tuple[AspectRatio, ...] = Field((0.35, 0.6, 1.0, 1.65, 2.8), min_length=1)
    offset_unit: float = Field(0.1, gt=0)
    channels: int = Field(128, ge=1, le=4096)
    flip_probability: Unit = 0.5
    color_gain: float = Field(0.15, ge=0, lt=1)
    color_shift: float = Field(18.0, ge=0, le=255)

    @model_validator(mode="after")
    def _sides_ascend(self) -> "SharedMultiBoxConfig":
        smallest, largest = self.photo_sides
        if smallest > largest:
            raise ValueError(f"photo_sides go from {smallest} down to {largest}; give the smaller one first")
        return self
