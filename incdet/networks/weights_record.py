"""The record that belongs to a set of weights: classes, preprocessing, origin, licence, measured quality."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from incdet.errors import WeightsError
from incdet.networks.architectures import INPUT_SIZE
from incdet.networks.multibox_description import MultiBoxDescription, SharedMultiBoxDescription

if TYPE_CHECKING:
    # a record is read and checked without torch, which takes longer to import than everything else
    from torch import Tensor

Features = Literal["cropped", "shared"]
DetectorFeatures = Literal["cropped", "shared", "both"]
"""Source of a region's feature maps: a crop of its own (R-CNN), or the feature maps of the whole photo (SPP-net)."""


PhotoSides = Annotated[tuple[Annotated[int, Field(ge=96, le=4096)], ...], Field(min_length=1, max_length=8)]
"""Lengths to which the shorter side of a photo is resized, in pixels."""


class Preprocessing(BaseModel):
    """The way from pixels to the network's input: (RGB - mean) * scale.

    Attributes:
        mean: grey levels that are subtracted from red, green and blue. The default is Caffe's mean colour.
        scale: factor after that.
        size: side of the square input, in pixels.
        context: pixels of the input on every side of a region's box that show what surrounds it. R-CNN has 16 of 227.
        photo_sides: lengths of the shorter side of a photo whose feature maps regions share, in pixels, ascending.
            Each region takes the one at which its own side comes nearest to `region_side`. Crops do not need them.
        region_side: side of a region with its context, in pixels of the resized photo, at which the network has learnt
            to see it; the root of the area, where it is no square.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mean: tuple[float, float, float] = (123.0, 117.0, 104.0)
    scale: float = Field(1.0, gt=0, le=1000)
    size: int = Field(INPUT_SIZE, ge=96, le=1024)
    context: int = Field(16, ge=0)
    photo_sides: PhotoSides = (512,)
    region_side: float = Field(128.0, ge=16, le=1024)

    def apply(self, pixels: "Tensor", noise: "Tensor | None" = None) -> "Tensor":
        """Turns pixels into the network's input.

        Args:
            pixels: [B, S, S, 3] uint8, RGB.
            noise: [B, 3] float32, grey levels that are added to every pixel of an image; None adds nothing.

        Returns:
            [B, 3, S, S] float32, channels last in memory.
        """
        import torch

        mean = torch.tensor(self.mean, device=pixels.device)
        offsets = -mean if noise is None else (noise - mean)[:, None, None, :]
        values = pixels.float() + offsets
        # in place: a whole photo is large, and a further copy of it costs as much as a module of the network
        values *= self.scale
        return values.permute(0, 3, 1, 2)

    @property
    def enlargement(self) -> float:
        """Factor by which the context enlarges a region."""
        return self.size / (self.size - 2 * self.context)

    @model_validator(mode="after")
    def _context_leaves_room(self) -> Self:
        if self.context * 4 > self.size:
            raise ValueError(f"a context of {self.context} pixels leaves too little of {self.size} for the region")
        return self


class WeightsRecord(BaseModel):
    """The knowledge about a set of weights, stored with them in one file.

    Attributes:
        architecture: name of the network in `ARCHITECTURES`.
        classes: class names in the order of the network's columns, without background.
        background: whether the network has one more column, the last, for background.
        preprocessing: preprocessing of the input.
        features: source of a region's feature maps that the network was trained with.
        recipe: configuration of the training that made the weights.
        origin: source of the weights, in words.
        measured: measured quality, for example {"voc2012-subset val mAP": 0.45}.
        licence: terms of use.
        multibox: description of the layers on top, where the network proposes boxes; None where it names classes.
        finder: name of the weights that find the objects which these name; None where these find them themselves.
        other_names: name that other weights have for a class -> the class. A finder's class counts for it, too.
        display_threshold: lowest score of a detection that is worth showing, in [0, 1]; None where these weights
            have none of their own.
        checksum: SHA-256 of the tensors and of everything else in the record; None in files of versions before 0.2.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str = "table"
    classes: tuple[str, ...] = Field(min_length=1)
    background: bool
    preprocessing: Preprocessing = Preprocessing()
    features: Features = "cropped"
    recipe: dict[str, Any] = {}
    origin: str
    measured: dict[str, float] = {}
    licence: str
    multibox: Annotated[MultiBoxDescription | SharedMultiBoxDescription, Field(discriminator="form")] | None = None
    finder: str | None = None
    other_names: dict[str, str] = {}
    display_threshold: float | None = Field(None, ge=0, le=1)
    checksum: str | None = None

    @field_validator("architecture", mode="before")
    @classmethod
    def _rename_first_architecture(cls, value: Any) -> Any:
        """Accepts the name that the architecture "table" had before there were variants."""
        return "table" if value == "googlenet" else value

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name")
        for name in self.other_names.values():
            if name not in self.classes:
                raise ValueError(f"other_names leads to '{name}', which is none of the classes")
        return self

    @property
    def num_columns(self) -> int:
        """Number of columns of the network's output: the classes, and background where there is one."""
        return len(self.classes) + self.background


def same_classes(records: Iterable[WeightsRecord]) -> tuple[str, ...]:
    """Checks that all members of an ensemble have the same classes, and returns them.

    Raises:
        WeightsError: two members were trained for different classes.
    """
    first, *others = (record.classes for record in records)
    for other in others:
        if other != first:
            difference = sorted(set(first) ^ set(other))[:3] or ["their order"]
            raise WeightsError(
                f"the ensemble's members differ in classes ({len(first)} and {len(other)}; for example "
                f"{', '.join(difference)}); give weights trained for the same classes"
            )
    return first


def same_features(records: Sequence[WeightsRecord]) -> Features:
    """Checks that all members of an ensemble were trained on the same features, and returns these.

    Raises:
        WeightsError: the members differ.
    """
    features = records[0].features
    for record in records:
        if record.features != features:
            raise WeightsError(
                f"the ensemble's members differ in features: {features} ({records[0].origin}) and {record.features} "
                f"({record.origin}); give weights trained on the same features"
            )
    return features


def detector_features(
    members: Sequence[WeightsRecord],
    rejection_network: WeightsRecord | None,
    wanted: Literal["auto", "cropped", "shared"],
) -> DetectorFeatures:
    """Finds out which features a detector computes, and checks that its networks fit together.

    Args:
        members: the records of the members.
        rejection_network: the record of the network in front of them; None without one.
        wanted: the features that the configuration asks for; "auto" takes any.

    Raises:
        WeightsError: the members differ, were trained on shared features and stand behind a rejection network, or the
            configuration asks for other features.
    """
    features: DetectorFeatures = same_features(members)
    if rejection_network is not None:
        if features == "shared":
            raise WeightsError(
                "the members were trained on shared features, where every network sees every region; leave out the "
                "cascade, or give members that were trained on crops"
            )
        if rejection_network.features == "shared":
            features = "both"
    if wanted not in ("auto", features):
        raise WeightsError(
            f"scores.features is {wanted}, but these weights were trained on {features} features "
            f"({members[0].origin}); give other weights, or leave scores.features out"
        )
    return features


def check_finder(finder: WeightsRecord, features: DetectorFeatures) -> None:
    """Checks that a network can find the objects which others name.

    Args:
        finder: its record.
        features: the features of the networks that name objects.

    Raises:
        WeightsError: one of both was trained on crops, or the finder classifies whole photos.
    """
    if features != "shared":
        raise WeightsError(
            f"a finder needs weights that name regions of shared feature maps, and these were trained on {features} "
            "features; set scores.finder=none"
        )
    if finder.features != "shared":
        raise WeightsError(
            f"the finder was trained on {finder.features} features ({finder.origin}); give weights that were trained "
            "on shared features, such as googlenet-voc-shared, as scores.finder"
        )
    same_preprocessing([finder])


def same_preprocessing(records: Sequence[WeightsRecord]) -> Preprocessing:
    """Checks that all networks of a detector expect the same input, and returns it.

    The context may differ; the result has that of the first network.

    Raises:
        WeightsError: a network classifies whole photos, or expects another mean, scale or size.
    """
    first = records[0].preprocessing
    for record in records:
        if not record.background:
            raise WeightsError(
                f"these weights have no background column: they classify whole photos ({record.origin}); "
                "fine-tune them on regions with `incdet train regions`"
            )
        if record.preprocessing.model_copy(update={"context": first.context}) != first:
            raise WeightsError("the ensemble's members differ in mean, scale or size; give weights that share them")
    return first
