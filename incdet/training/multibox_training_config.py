"""The settings of a training of MultiBox."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from incdet.config.sections import Section, Unit
from incdet.errors import ConfigurationError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.multibox_description import FEATURE_CHANNELS, INPUT_SIZES, Form
from incdet.networks.weights_record import Features, Preprocessing, WeightsRecord
from incdet.runtime.optional_packages import require_package
from incdet.training.run_config import RunConfig
from incdet.training.samples.box_samples import BoxSamplingConfig
from incdet.training.samples.shared_multibox_config import SharedMultiBoxConfig
from incdet.training.training_data import DataConfig

Matching = Literal["bipartite", "overlap"]
"""The rule by which priors answer for objects. Bipartite: each object gets the one prior that makes the loss least, as
published. Overlap: each prior that overlaps an object enough answers for it, and so does each object's best prior,
unless it is that of a later object, too."""


class LossConfig(Section):
    """The loss F = alpha F_match + F_conf.

    Attributes:
        alpha: weight of the locations; 0.3 in the papers, 1000 in the re-implementation that works.
        matching: rule by which priors answer for objects; "bipartite" gives each object the one prior that makes
            the loss least, as published; "overlap" lets each prior answer that overlaps an object enough.
        matching_iou: Jaccard index from which a prior answers for an object; only for matching by overlap.
    """

    old_names: ClassVar[Mapping[str, str]] = {"overlap": "matching_iou"}

    alpha: float = Field(1000.0, gt=0)
    matching: Matching = "bipartite"
    matching_iou: Unit = 0.5


class MultiBoxTrainingConfig(RunConfig):
    """A whole training of MultiBox; see configs/multibox_voc.yaml.

    Attributes:
        data: the photos.
        initial_weights: weights of a classifier or a region classifier, with whose convolutions training starts.
        features: source of the feature maps: "cropped" trains a network of its own on crops of photos, "shared" trains
            layers that read the feature maps which the initial weights compute of whole photos. The initial weights
            stay as they are, and a detector with the same ones computes the feature maps once for both purposes.
        form: form of the network on crops; see `networks.multibox.Form`.
        num_priors: number of priors, which are clusters of the training boxes; the form "grids" has priors of its own.
        train_trunk: whether the convolutions learn, too; otherwise they stay those of `initial_weights`.
        left_out_classes: classes whose photos are left out of training, so that their coverage tells how well the
            network proposes objects that it has never seen.
        loss: weights and matching of the loss.
        sampling: the crops that the network learns from; shared features have no crops.
        shared: the layers and the photos of a training on shared features.
    """

    command: ClassVar[str] = "multibox"

    data: DataConfig
    initial_weights: str
    features: Features = "cropped"
    form: Form = "grids"
    num_priors: int = Field(200, ge=1)
    train_trunk: bool = True
    left_out_classes: tuple[str, ...] = ()
    loss: LossConfig = LossConfig()
    sampling: BoxSamplingConfig = BoxSamplingConfig()
    shared: SharedMultiBoxConfig = SharedMultiBoxConfig()

    def decisive(self) -> dict[str, Any]:
        """Returns the settings that decide the result, which a checkpoint belongs to."""
        values = super().decisive()
        if self.features == "cropped":
            # checkpoints from before there were shared features do not know these settings
            del values["features"], values["shared"]
        return values

    def require_packages(self) -> None:
        """Makes sure that the training will not fail for a missing package after its data is read.

        Raises:
            PackageError: SciPy is needed for the matching or the clusters and is not installed.
        """
        if self.loss.matching == "bipartite":
            require_package("scipy", "the assignments of loss.matching=bipartite", "train")
        if self.features == "cropped" and self.form != "grids":
            require_package("scipy", f"the clusters of form={self.form}", "train")

    @model_validator(mode="after")
    def _overlap_decides_among_many_priors(self) -> "MultiBoxTrainingConfig":
        if self.features == "shared" and self.loss.matching != "overlap":
            raise ValueError(
                "features 'shared' have tens of thousands of priors, which are matched by their overlap; give "
                "loss.matching 'overlap'"
            )
        return self

    @model_validator(mode="after")
    def _everything_is_annotated(self) -> "MultiBoxTrainingConfig":
        if self.data.extra_split is not None:
            raise ValueError(
                "data.extra_split is for region classifiers: what its photos show besides the annotated objects would "
                "be learnt as no object; leave it out"
            )
        return self


def multibox_preprocessing(config: MultiBoxTrainingConfig, initial: WeightsRecord) -> Preprocessing:
    """Returns the preprocessing of the weights to start from, with the size that the form of the network takes.

    Args:
        config: the training.
        initial: record of the weights to start from.

    Raises:
        ConfigurationError: the feature maps of these weights have other channels than the layers read, or their context
            does not fit the size.
    """
    preprocessing = initial.preprocessing
    if config.features == "shared":
        channels = ARCHITECTURES[initial.architecture].feature_channels
        if channels != FEATURE_CHANNELS:
            raise ConfigurationError(
                f"cannot train MultiBox on the feature maps of the network '{initial.architecture}': they have "
                f"{channels:,} channels, and {FEATURE_CHANNELS} can be read; give initial_weights of the architecture "
                "'table'"
            )
        return preprocessing
    size = INPUT_SIZES[config.form]
    if preprocessing.context * 4 > size:
        raise ConfigurationError(
            f"cannot start from initial_weights with a context of {preprocessing.context} pixels: it leaves too little "
            f"of the {size} that form={config.form} takes; give other weights"
        )
    return preprocessing.model_copy(update={"size": size})
