"""Training MultiBox: the network that proposes boxes (Erhan et al. 2014; Szegedy et al. 2014)."""

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from incdet.config.class_choice import find_classes
from incdet.config.sections import MultiBoxConfig, Section, Unit
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.errors import DataError, ImageError
from incdet.evaluation.recall import average_recall, coverage_at, measure_coverage
from incdet.images import read_image
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox import INPUT_SIZES, Form, MultiBox
from incdet.networks.priors import grid_priors
from incdet.networks.weights import WeightsRecord
from incdet.proposers.multibox_proposer import propose_boxes
from incdet.proposers.prior_clusters import cluster_priors, unit_boxes
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.runtime.optional_packages import require_package
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.loop import Task
from incdet.training.prior_matching import Matching, match_bipartite, match_by_overlap, multibox_losses
from incdet.training.run_config import RunConfig
from incdet.training.samples.box_samples import BoxBatch, BoxSamplingConfig, box_batches
from incdet.training.samples.loading import choose_num_workers
from incdet.training.training_data import DataConfig, split_validation

VALIDATION_BATCH = 32


class LossConfig(Section):
    """F = alpha F_match + F_conf.

    Attributes:
        alpha: weight of the locations; 0.3 in the papers, 1000 in the re-implementation that works.
        matching: see `training.matching.Matching`.
        overlap: Jaccard index from which a prior answers for an object, where matching goes by overlap.
    """

    alpha: float = Field(1000.0, gt=0)
    matching: Matching = "bipartite"
    overlap: Unit = 0.5


class MultiBoxTrainingConfig(RunConfig):
    """A whole training of MultiBox; see configs/multibox_voc.yaml.

    Attributes:
        data: the photos; `validation_proposals` boxes per held-out photo are judged.
        initial_weights: whose convolutions training starts from: a classifier's or a region classifier's.
        form: of the network, see `networks.multibox.Form`.
        num_priors: clusters of the training boxes; "grids" has priors of its own.
        train_trunk: whether the convolutions learn, too; without it they stay those of `initial_weights`.
        left_out_classes: photos that show them are left out of training, so that their coverage tells how well the
            network proposes what it has never seen.
        workers: processes that read and distort photos; none given is one, and with a GPU all but one of the cores.
    """

    data: DataConfig
    initial_weights: str
    form: Form = "grids"
    num_priors: int = Field(200, ge=1)
    train_trunk: bool = True
    left_out_classes: tuple[str, ...] = ()
    loss: LossConfig = LossConfig()
    sampling: BoxSamplingConfig = BoxSamplingConfig()
    workers: int | None = Field(None, ge=0)

    def require_packages(self) -> None:
        """Makes sure that the training will not fail for a missing package after its data is read.

        Raises:
            PackageError: SciPy is needed for the matching or the clusters and is not installed.
        """
        if self.loss.matching == "bipartite":
            require_package("scipy", "the assignments of loss.matching=bipartite", "train")
        if self.form != "grids":
            require_package("scipy", f"the clusters of form={self.form}", "train")

    @model_validator(mode="after")
    def _everything_is_annotated(self) -> "MultiBoxTrainingConfig":
        if self.data.extra_split is not None:
            raise ValueError(
                "data.extra_split is for region classifiers: what its photos show besides the annotated objects would "
                "be learnt as no object; leave it out"
            )
        return self


class MultiBoxTask:
    """MultiBox as a task of the training loop.

    Raises:
        PackageError: SciPy is needed for the matching or the clusters and is not installed.
        ConfigurationError: a class to be left out is unknown, or there are fewer different boxes than priors.
        DataError: no photo is left to train on.
    """

    def __init__(
        self,
        dataset: Dataset,
        initial: tuple[GoogLeNet, WeightsRecord],
        config: MultiBoxTrainingConfig,
        processes: Processes | None = None,
        warn: Warn = no_warning,
    ) -> None:
        config.require_packages()
        self.config, self.processes, self.warn = config, processes or Processes(), warn
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        training, self.validation = split_validation(dataset, config.data.validation_images)
        self.training = training.without_classes(config.left_out_classes)
        if not len(self.training):
            raise DataError(
                f"no photo is left to train on: {dataset.name} has {len(dataset)}, of which {len(self.validation)} "
                "validate and the others show classes that are left out"
            )
        trunk, self.initial = initial
        size = INPUT_SIZES[config.form]
        self.preprocessing = self.initial.preprocessing.model_copy(update={"size": size})
        torch.manual_seed(config.seed)
        priors = torch.from_numpy(self._priors())
        network = MultiBox(priors, config.form, trunk.architecture)
        kept = {name: value for name, value in trunk.state_dict().items() if not name.startswith("classifier.")}
        network.trunk.load_state_dict(kept)
        network.trunk.requires_grad_(config.train_trunk)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)

    def _priors(self) -> np.ndarray:
        if self.config.form == "grids":
            return grid_priors()
        return cluster_priors(unit_boxes(self.training.ground_truths), self.config.num_priors, self.config.seed)

    def task(self) -> Task[BoxBatch]:
        """What the loop needs to know."""
        config = self.config
        arguments = self.training, self.preprocessing.size, config.sampling, config.optimization.batch_size, config.seed
        num_workers = choose_num_workers(config.workers, self.device, self.processes)
        batches = box_batches(*arguments, num_workers, self.processes, self.warn)
        return Task(self.network, ("head.",), len(self.training), batches, self.losses, _names, self.validate)

    def inputs(self, batch: BoxBatch) -> Tensor:
        """Preprocessed crops [B, 3, size, size] float32 on the device, channels last."""
        return self.preprocessing.apply(batch.crops.to(self.device), batch.noise.to(self.device))

    def losses(self, network: nn.Module, batch: BoxBatch) -> dict[str, Tensor]:
        """The two terms of every image, as published: sums over priors."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            outputs = network(self.inputs(batch))
        locations, logits = self.network.decode(outputs.offsets), outputs.logits.float()
        pairs = [
            self._image_losses(locations[row], logits[row], boxes.to(self.device))
            for row, boxes in enumerate(batch.boxes_unit)
        ]
        location, confidence = (torch.stack(terms) for terms in zip(*pairs, strict=True))
        return {"location": location, "confidence": confidence}

    def _image_losses(self, locations: Tensor, logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        loss = self.config.loss
        if loss.matching == "bipartite":
            matched = match_bipartite(locations, logits, boxes, loss.alpha)
        else:
            matched = match_by_overlap(self.network.get_buffer("priors"), boxes, loss.overlap)
        return multibox_losses(locations, logits, matched, boxes, loss.alpha)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Coverage at IoU 0.5 and average recall of the best boxes on the photos kept out of training.

        The photos are looked at as wholes only, which takes a fifteenth of the time.
        With classes left out of training, also the coverage of their objects alone.
        """
        assert isinstance(network, MultiBox)
        truths, proposals = [], []
        for start in range(0, len(self.validation), VALIDATION_BATCH):
            images, found = self._readable(range(start, min(start + VALIDATION_BATCH, len(self.validation))))
            truths += found
            proposals += self._propose(network, images)
        if not truths:
            return {}
        coverage = measure_coverage(truths, proposals)
        numbers = {
            "validation_coverage": coverage_at(coverage.best),
            "validation_average_recall": average_recall(coverage.best),
        }
        if self.config.left_out_classes:
            left_out = find_classes(self.config.left_out_classes, self.validation.class_names, self.validation.name)
            unseen = coverage.subset(np.isin(coverage.class_ids, left_out))
            if len(unseen.best):
                numbers["validation_coverage_left_out"] = coverage_at(unseen.best)
        return {name: round(value, 6) for name, value in numbers.items()}

    def _readable(self, indices: Sequence[int]) -> tuple[list[Image], list[GroundTruth]]:
        images, truths = [], []
        for index in indices:
            try:
                image = read_image(self.validation.image_paths[index])
            except ImageError as error:
                self.warn(str(error))
                continue
            images.append(image)
            truths.append(self.validation.ground_truths[index].rescaled(image.width, image.height))
        return images, truths

    def _propose(self, network: MultiBox, images: list[Image]) -> list[Proposals]:
        if not images:
            return []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            limit = self.config.data.validation_proposals
            config = MultiBoxConfig(limit=limit, crop_sides=())
            return propose_boxes(images, network, self.preprocessing, config)

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """What is stored with the trained weights; `logged` are the last numbers of the log's validation."""
        number = self.config.data.validation_proposals
        what = f"coverage of {number} boxes, IoU 0.5, whole photos kept out of training"
        trained = "all layers fine-tuned" if self.config.train_trunk else "proposing layers trained"
        return WeightsRecord(
            architecture=self.network.trunk.architecture.name,
            classes=self.training.class_names,
            background=False,
            preprocessing=self.preprocessing,
            recipe=self.config.recipe(),
            origin=f"{trained} by incdet on {self.training.name}, from: {self.initial.origin}",
            measured={what: logged["validation_coverage"]} if logged else {},
            licence=f"Apache-2.0; the terms of the photos and of the initial weights apply ({self.initial.licence})",
            multibox=self.network.describe(),
        )


def _names(batch: BoxBatch) -> list[str]:
    return batch.names
