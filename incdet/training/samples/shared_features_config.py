"""The settings of a training of region classifiers that shared features have and crops do not."""

from typing import Annotated

from pydantic import Field, model_validator

from incdet.config.sections import Section, Unit
from incdet.networks.weights_record import PhotoSides
from incdet.ops.photo_scaling import MIN_SIDE

Side = Annotated[int, Field(ge=MIN_SIDE, le=4096)]


class SharedFeaturesConfig(Section):
    """The photos and regions that a network for shared features learns from.

    Attributes:
        photo_sides: smallest and largest length to which the shorter side of a photo is resized, in pixels. The longer
            side is at most 1.8 times as long.
        size_spread: strength of the preference for regions that have the size `region_side` of the network at the
            drawn length, as regions have in detection: the standard deviation of the logarithm of the ratio of the
            sides. The length is then drawn so that it suits an object. None draws regions of any size, and the
            logarithm of the length is evenly distributed.
        detection_sides: lengths of the shorter side of a photo for detection, in pixels, which are stored with the
            weights. None are those of the initial weights that lie between `photo_sides`, or the middle of
            `photo_sides`.
        regions_per_photo: number of regions that are drawn in a photo.
        hard_regions: number of the drawn regions that are learnt, those with the highest loss (Shrivastava et al.
            2016, "Training Region-based Object Detectors with Online Hard Example Mining"); None learns all of them.
        box_loss_weight: weight of the loss of the box deltas; that of the classes has weight 1.
        min_box_iou: smallest Jaccard index with its object's box from which a region teaches box deltas.
        color_gain: strength x of the change of contrast: the colours are multiplied by a factor from 1 - x to 1 + x.
        color_shift: largest number of grey levels that are added to all colours or taken from them; each of the three
            colours is shifted by up to half of it besides.
        cache_features: whether the feature maps of every photo, plain and mirrored, are computed once and kept in
            memory. That needs frozen_stages of at least 4 and no change of colours; the lengths of the shorter side are
            then those for detection.
    """

    photo_sides: tuple[Side, Side] = (400, 640)
    size_spread: float | None = Field(None, gt=0)
    detection_sides: PhotoSides | None = None
    regions_per_photo: int = Field(48, ge=1)
    hard_regions: int | None = Field(None, ge=1)
    box_loss_weight: float = Field(1.0, ge=0)
    min_box_iou: Unit = 0.4
    color_gain: float = Field(0.15, ge=0, lt=1)
    color_shift: float = Field(12.0, ge=0, le=255)
    cache_features: bool = False

    @model_validator(mode="after")
    def _settings_fit_together(self) -> "SharedFeaturesConfig":
        smallest, largest = self.photo_sides
        if smallest > largest:
            raise ValueError(f"photo_sides go from {smallest} down to {largest}; give the smaller one first")
        if self.hard_regions is not None and self.hard_regions > self.regions_per_photo:
            raise ValueError(
                f"hard_regions {self.hard_regions} are to be chosen among regions_per_photo {self.regions_per_photo}; "
                "draw more regions, or learn fewer"
            )
        if self.cache_features and (self.color_gain > 0 or self.color_shift > 0):
            raise ValueError(
                "cache_features keeps the feature maps of one colouring of each photo; set color_gain and color_shift "
                "to 0"
            )
        return self
