"""The settings of a training of a classifier of whole photos."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator

from incdet.networks.architectures import ARCHITECTURES, INPUT_SIZE
from incdet.training.run_config import RunConfig
from incdet.training.samples.distortions import DistortionsConfig
from incdet.training.samples.photo_sources import PhotosConfig


class ClassifierTrainingConfig(RunConfig):
    """A whole training of a classifier; see configs/googlenet_imagenet.yaml.

    Attributes:
        data: the photos to learn from.
        validation: the photos of the validation; None takes `validation_images` of `data`.
        validation_images: number of photos of `data`, evenly spaced, that are kept out of training; the validation
            judges the network on them.
        architecture: a name that `incdet info --network all` lists.
        initial_weights: weights whose layers, but for the last, training starts from; their architecture is taken,
            too. None starts from scratch.
        auxiliary: whether the two auxiliary classifiers on 4a and 4d are trained, too.
        auxiliary_weight: weight of their losses (paper: 0.3).
        dropout: dropout of the pooled features; None is the architecture's (paper: 40 %).
        size: side of the crops, in pixels.
        distortions: strength of the distortions of the crops.
    """

    command: ClassVar[str] = "classifier"

    old_names: ClassVar[Mapping[str, str]] = {**RunConfig.old_names, "held_out": "validation_images"}

    data: PhotosConfig
    validation: PhotosConfig | None = None
    validation_images: int = Field(0, ge=0)
    architecture: str = "table"
    initial_weights: str | None = None
    auxiliary: bool = True
    auxiliary_weight: float = Field(0.3, ge=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    size: int = Field(INPUT_SIZE, ge=96, le=1024)
    distortions: DistortionsConfig = DistortionsConfig()

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            raise ValueError(f"there is no network '{name}'; known: {', '.join(ARCHITECTURES)}")
        return name
