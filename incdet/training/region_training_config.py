"""The settings of a training of a region classifier."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field, model_validator

from incdet.config.loading import apply_settings, make_config
from incdet.config.section import merged
from incdet.config.sections import ProposalsConfig
from incdet.errors import ConfigurationError
from incdet.networks.weights_record import Features, Preprocessing, WeightsRecord
from incdet.training.run_config import RunConfig
from incdet.training.samples.region_sampling_config import RegionSamplingConfig
from incdet.training.samples.shared_features_config import SharedFeaturesConfig
from incdet.training.training_data import DataConfig

CACHEABLE_STAGES = 4
"""Number of stages that run over the whole photo; their result can be kept where they do not learn."""


class RegionsTrainingConfig(RunConfig):
    """A whole training of a region classifier; see configs/shared_voc.yaml and configs/regions_voc.yaml.

    Attributes:
        data: the photos.
        initial_weights: weights that all layers start from; the last layer is kept only where it is that of a region
            classifier for the same classes.
        features: source of a region's feature maps: a crop of its own ("cropped", R-CNN), or the feature maps of the
            whole photo, which all its regions share ("shared", Fast R-CNN). The samples of a batch are regions with
            crops and photos with shared features.
        frozen_stages: number of GoogLeNet's five stages, the first ones, that keep the initial weights: training takes
            less time, and the members of an ensemble can share them.
        context: pixels on every side of a crop that show what surrounds the region (R-CNN: 16 of 227). The network has
            learnt to expect objects at the size that its initial weights' context gives, but gets used to another one.
        proposals: the proposers whose proposals are learnt.
        sampling: the composition of a batch of crops or, with shared features, of the regions of every photo.
        shared: the settings that only shared features have.
        dropout: dropout of the pooled features.
        memory_gigabytes: largest size of the decoded photos, or of the cached feature maps, that a machine keeps in
            memory; its processes and their workers share it.
        members: changes of these settings for every member of an ensemble; see `member`.
    """

    command: ClassVar[str] = "regions"

    data: DataConfig
    initial_weights: str
    features: Features = "cropped"
    frozen_stages: int = Field(0, ge=0, le=5)
    context: int = Field(Preprocessing().context, ge=0)
    proposals: ProposalsConfig = ProposalsConfig()
    sampling: RegionSamplingConfig = RegionSamplingConfig()
    shared: SharedFeaturesConfig = SharedFeaturesConfig()
    dropout: float = Field(0.4, ge=0, lt=1)
    memory_gigabytes: float = Field(8.0, ge=0)
    members: tuple[dict[str, Any], ...] = ()

    def member(self, number: int, settings: Sequence[str] = ()) -> "RegionsTrainingConfig":
        """Returns the training of member 1, 2, ... of an ensemble.

        It has the changes that `members` lists for it, and a seed of its own if they name none. Members beyond those
        listed differ in their seeds alone. The paper's members differ "only in sampling methodologies and the random
        order in which they see input images" (section 7).

        Args:
            number: number of the member, from 1.
            settings: settings of the form `dotted.key=value` with which this configuration was made; they win over
                what `members` lists. The seed among them is that of member 1.

        Raises:
            ConfigurationError: `members` holds something that is no setting.
        """
        seed = self.seed + number - 1
        values = self.model_dump(exclude={"members"}) | {"seed": seed}
        changes = self.members[number - 1] if number <= len(self.members) else {}
        values = merged(RegionsTrainingConfig, values, changes)
        # members and seed of the settings are already part of this configuration
        others = [setting for setting in settings if not setting.startswith(("members=", "seed="))]
        apply_settings(RegionsTrainingConfig, values, others)
        if any(setting.startswith("seed=") for setting in settings):
            values["seed"] = seed
        return make_config(RegionsTrainingConfig, values, f"member {number}")

    @model_validator(mode="after")
    def _settings_fit_the_features(self) -> "RegionsTrainingConfig":
        if self.features == "cropped":
            default = SharedFeaturesConfig()
            given = [
                key for key in SharedFeaturesConfig.model_fields if getattr(self.shared, key) != getattr(default, key)
            ]
            if given:
                raise ValueError(
                    f"shared.{given[0]} is a setting of shared features, but features are cropped; set "
                    "features=shared, or leave the section out"
                )
        elif self.shared.cache_features and self.frozen_stages < CACHEABLE_STAGES:
            raise ValueError(
                f"shared.cache_features keeps what stages 1 to {CACHEABLE_STAGES} compute, but with frozen_stages "
                f"{self.frozen_stages} they still learn; set frozen_stages={CACHEABLE_STAGES}, or cache nothing"
            )
        return self


def region_preprocessing(config: RegionsTrainingConfig, initial: WeightsRecord) -> Preprocessing:
    """Returns the preprocessing that the network has learnt to expect, but with the training's context and photo side.

    Args:
        config: the training.
        initial: record of the weights to start from.

    Raises:
        ConfigurationError: the context leaves too little room for the region.
    """
    size, context = initial.preprocessing.size, config.context
    if context > size // 4:
        raise ConfigurationError(
            f"a context of {context} pixels leaves too little of {size} for the region; "
            f"set context to {size // 4} or less"
        )
    changes: dict[str, Any] = {"context": context}
    if config.features == "shared":
        # the photo sides of the initial weights where the training shows them, else the middle of those that it shows
        smallest, largest = config.shared.photo_sides
        known = tuple(side for side in initial.preprocessing.photo_sides if smallest <= side <= largest)
        middle = round(math.sqrt(smallest * largest))
        changes["photo_sides"] = config.shared.detection_sides or known or (middle,)
    return initial.preprocessing.model_copy(update=changes)
