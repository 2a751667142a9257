"""The settings of a training of a region classifier."""

from typing import Any

from pydantic import Field, model_validator

from incdet.config.loading import make_config, merged
from incdet.config.sections import ProposalsConfig
from incdet.networks.weights_record import Features, Preprocessing
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

    def member(self, number: int) -> "RegionsTrainingConfig":
        """Returns the training of member 1, 2, ... of an ensemble.

        It has the changes that `members` lists for it, and a seed of its own if they name none. Members beyond those
        listed differ in their seeds alone. The paper's members differ "only in sampling methodologies and the random
        order in which they see input images" (section 7).

        Raises:
            ConfigurationError: `members` holds something that is no setting.
        """
        values = self.model_dump(exclude={"members"}) | {"seed": self.seed + number - 1}
        changes = self.members[number - 1] if number <= len(self.members) else {}
        return make_config(RegionsTrainingConfig, merged(values, changes), f"member {number}")

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
