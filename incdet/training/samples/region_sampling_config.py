"""The settings that decide which regions a region classifier learns from."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from incdet.config.sections import Section, Unit


class RegionSamplingConfig(Section):
    """The composition of a batch of regions.

    Attributes:
        positive_share: share of regions with an object; R-CNN's 32 of 128.
        positive_iou: smallest Jaccard index with an object's box to be drawn as that object (R-CNN: 0.5).
        full_iou: Jaccard index from which a region is wholly its object. Between `positive_iou` and this the target
            passes evenly from background to the object, so that tight boxes learn to score higher than loose ones;
            None is `positive_iou`, R-CNN's hard decision.
        draw_evenly_over_iou: whether an object's region is drawn evenly over the Jaccard index, instead of evenly over
            its regions, most of which are loose.
        num_jittered_boxes: number of copies of every object's box, moved and stretched at random, that join the
            proposals.
        class_balance: exponent of the number of a class's objects, to which its probability is proportional: 1 draws
            objects evenly, 0 draws classes evenly.
        near_share: share of the backgrounds that touch an object with a Jaccard index of at least `near_iou`; the
            others are any backgrounds.
        near_iou: smallest Jaccard index of the backgrounds that touch an object.
        flip_probability: probability that a region is mirrored.
    """

    old_names: ClassVar[Mapping[str, str]] = {
        "even_iou": "draw_evenly_over_iou",
        "jittered_boxes": "num_jittered_boxes",
    }

    positive_share: Unit = 0.25
    positive_iou: float = Field(0.5, gt=0, le=1)
    full_iou: float | None = Field(None, gt=0, le=1)
    draw_evenly_over_iou: bool = False
    num_jittered_boxes: int = Field(0, ge=0, le=1000)
    class_balance: Unit = 1.0
    near_share: Unit = 0.0
    near_iou: Unit = 0.1
    flip_probability: Unit = 0.5

    @model_validator(mode="after")
    def _ramp_rises(self) -> "RegionSamplingConfig":
        if self.full_iou is not None and self.full_iou < self.positive_iou:
            raise ValueError(f"full_iou {self.full_iou} must be at least positive_iou {self.positive_iou}")
        return self
