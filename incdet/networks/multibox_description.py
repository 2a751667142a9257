"""The part of a weights' record that describes MultiBox; it is known without torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Form = Literal["pooled", "map", "grids"]
"""The head: one layer on the mean of the features, one layer on all positions, or MSC-MultiBox's grids."""

INPUT_SIZES: dict[Form, int] = {"pooled": 224, "map": 224, "grids": 256}
"""Head -> side of the input in pixels. 224 gives last feature maps of 7 x 7 cells; the finest grid needs 8 x 8."""


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
