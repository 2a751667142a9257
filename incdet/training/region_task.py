"""Training a region classifier: a classifier of photos learns to name regions and background (R-CNN)."""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.config.loading import make_config, merged
from incdet.config.sections import DetectionsConfig, ProposalsConfig
from incdet.data.dataset import Dataset
from incdet.detections import Detections, select_detections
from incdet.errors import ConfigurationError
from incdet.evaluation.average_precision import evaluate_detections
from incdet.images import read_image
from incdet.networks.engines.torch_backend import TorchBackend
from incdet.networks.ensemble import Member
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.pipeline.cascade import Cascade
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.regions import RegionCropper
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.scores import score_regions
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.loop import Task
from incdet.training.new_layers import copy_with_dropout, replace_classifier
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.run_config import RunConfig
from incdet.training.samples.batch_loading import choose_num_workers
from incdet.training.samples.region_batches import RegionBatch, region_batches
from incdet.training.samples.region_pool import build_pool
from incdet.training.samples.region_sampler import RegionSampler
from incdet.training.samples.region_sampling_config import RegionSamplingConfig
from incdet.training.training_data import DataConfig, split_validation

VALIDATION_BATCH = 64
"""Number of regions that a validation classifies at a time."""


class RegionsTrainingConfig(RunConfig):
    """A whole training of a region classifier; see configs/regions_voc.yaml.

    Attributes:
        data: the photos.
        initial_weights: weights that all layers start from; the last layer is kept only where it is that of a region
            classifier for the same classes.
        frozen_stages: number of GoogLeNet's five stages, the first ones, that keep the initial weights: training takes
            less time, and the members of an ensemble can share them.
        context: pixels on every side of a crop that show what surrounds the region (R-CNN: 16 of 227). The network has
            learnt to expect objects at the size that its initial weights' context gives, but gets used to another one.
        proposals: the proposers whose proposals are learnt.
        sampling: the composition of a batch.
        dropout: dropout of the pooled features.
        memory_gigabytes: largest size of the decoded photos that a machine keeps in memory; its processes and their
            workers share it.
        members: changes of these settings for every member of an ensemble; see `member`.
    """

    data: DataConfig
    initial_weights: str
    frozen_stages: int = Field(0, ge=0, le=5)
    context: int = Field(Preprocessing().context, ge=0)
    proposals: ProposalsConfig = ProposalsConfig()
    sampling: RegionSamplingConfig = RegionSamplingConfig()
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


class RegionsTask:
    """The training of a region classifier as a task of the training loop.

    Args:
        dataset: photos in which every object is annotated; some of them are kept out for validation.
        cache: the cache of their proposals.
        initial: the network to start from, and its record.
        config: the whole configuration.
        processes: the processes that train the same network; None is this one alone.
        extra: photos that only lend their objects; see `DataConfig`.

    Raises:
        ConfigurationError: the context leaves too little room for the region.
        DataError: no photo is left to train on, or the photos have no objects or no backgrounds.
        ImageError: a photo without known proposals cannot be read.
    """

    def __init__(
        self,
        dataset: Dataset,
        cache: ProposalCache,
        initial: tuple[GoogLeNet, WeightsRecord],
        config: RegionsTrainingConfig,
        processes: Processes | None = None,
        extra: Dataset | None = None,
    ) -> None:
        self.config, self.processes, self.classes = config, processes or Processes(), dataset.class_names
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.proposals = PhotoProposals(cache)
        # photos of `extra` come last, because only the first ones lend background
        self.training, self.validation = split_validation(dataset, config.data.validation_images)
        num_exhaustive = len(self.training)
        if extra is not None:
            self.training = self.training.joined(extra)
        start, self.initial = initial
        self.preprocessing = self._preprocessing()
        pool = build_pool(self._annotated_proposals(), config.sampling, num_exhaustive)
        self.sampler = RegionSampler(pool, len(self.classes), config.sampling)
        # a network that already names regions of these classes goes on with its last layer
        self.keeps_classifier = self.initial.background and self.initial.classes == self.classes
        if self.keeps_classifier:
            network = copy_with_dropout(start, config.dropout)
        else:
            network = replace_classifier(start, len(self.classes) + 1, config.dropout, config.seed)
        self.network: GoogLeNet = network.to(self.device).to(memory_format=torch.channels_last)
        # layers without gradients are neither trained nor decayed, and the backward pass ends above them
        self.frozen = self.network.lower_layers(config.frozen_stages)
        for layer in self.frozen:
            layer.requires_grad_(False)

    def _preprocessing(self) -> Preprocessing:
        """The preprocessing that the network has learnt to expect, but for the context."""
        size, context = self.initial.preprocessing.size, self.config.context
        if context > size // 4:
            raise ConfigurationError(
                f"a context of {context} pixels leaves too little of {size} for the region; "
                f"set context to {size // 4} or less"
            )
        return self.initial.preprocessing.model_copy(update={"context": context})

    def _annotated_proposals(self) -> Iterator[tuple[GroundTruth, Proposals]]:
        """Yields the annotation of every training photo, in pixels of its file, and its proposals."""
        for path, truth in self.training:
            photo = self.proposals(path)
            yield truth.rescaled(photo.width, photo.height), photo.proposals

    def task(self) -> Task[RegionBatch]:
        """Returns the description of the training for the loop.

        An epoch is as long as it takes to draw as many regions with an object as there are objects.
        """
        config = self.config
        epoch_size = round(self.sampler.num_objects / max(config.sampling.positive_share, 1e-9))
        batches = region_batches(
            self.sampler,
            self.training.image_paths,
            self.preprocessing,
            config.optimization.batch_size,
            config.seed,
            choose_num_workers(config.workers, self.device, self.processes),
            config.memory_gigabytes,
            self.processes,
        )
        # only a last layer that starts anew learns faster
        new_layers = () if self.keeps_classifier else ("classifier.",)
        return Task(self.network, new_layers, epoch_size, batches, self.losses, self.validate)

    def inputs(self, batch: RegionBatch) -> Tensor:
        """Returns preprocessed crops [B, 3, size, size] float32 on the device, channels last."""
        crops = batch.crops.to(self.device, non_blocking=True)
        return crops.contiguous(memory_format=torch.channels_last)

    def losses(self, network: nn.Module, batch: RegionBatch) -> dict[str, Tensor]:
        """Returns the cross entropy [B] over the classes and background, with soft targets where the sampling asks."""
        for layer in self.frozen:
            # the statistics of batch normalisation, where there are any, are frozen, too
            layer.eval()
        targets = batch.targets.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            logits = network(self.inputs(batch)).main
        return {"cross_entropy": F.cross_entropy(logits.float(), targets, reduction="none")}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the mAP (VOC rules) on the photos kept out of training; a rough guide on a few proposals a photo."""
        assert isinstance(network, GoogLeNet)
        # detection as users run it, with this network as the only member and without a rejection network
        cascade = Cascade([Member(network, TorchBackend(network), self.preprocessing.context)])
        detections, truths = [], []
        for path, truth in self.validation:
            image = read_image(path)
            detections.append(self._detect(image, cascade))
            truths.append(truth.rescaled(image.width, image.height))
        if not truths:
            return {}
        evaluation = evaluate_detections(self.classes, truths, detections)
        return {"validation_mAP": round(evaluation.mean_average_precision, 6)}

    def _detect(self, image: Image, cascade: Cascade) -> Detections:
        """The detections among the best proposals of a photo."""
        boxes = self.proposals.cache(image)[: self.config.data.validation_proposals].boxes
        cropper = RegionCropper(image, self.preprocessing, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            scores = score_regions(cropper, boxes, cascade, VALIDATION_BATCH).scores()
        return select_detections(scores, image, self.classes, DetectionsConfig())

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """Returns the record that is stored with the trained weights.

        Args:
            logged: numbers of the last validation in the log.
        """
        number = self.config.data.validation_proposals
        what = f"mAP of {number} proposals a photo, photos of the training split kept out of training"
        first = self.config.frozen_stages + 1
        trained = {1: "all layers", 6: "the classifier"}.get(first, f"stages {first} to 5")
        return WeightsRecord(
            architecture=self.network.architecture.name,
            classes=self.classes,
            background=True,
            preprocessing=self.preprocessing,
            recipe=self.config.recipe(),
            origin=f"{trained} fine-tuned by incdet on {self.training.name}, from: {self.initial.origin}",
            measured={what: logged["validation_mAP"]} if logged else {},
            licence=f"Apache-2.0; the terms of the photos and of the initial weights apply ({self.initial.licence})",
        )
