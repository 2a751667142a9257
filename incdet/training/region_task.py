"""Fine-tuning a region classifier: from ImageNet weights to C classes + background."""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.config.loading import make_config, merged
from incdet.config.sections import DetectionsConfig, ProposalsConfig
from incdet.data.dataset import Dataset
from incdet.detections import select_detections
from incdet.errors import ConfigurationError
from incdet.evaluation.average_precision import evaluate_detections
from incdet.images import read_image
from incdet.networks.engines.torch_backend import TorchBackend
from incdet.networks.ensemble import Member
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import Preprocessing, WeightsRecord
from incdet.pipeline.cascade import Cascade
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.regions import RegionCropper
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.scores import score_regions
from incdet.structures import GroundTruth, Proposals, RegionScores
from incdet.training.loop import Task, prefetched
from incdet.training.new_layers import keep_classifier, replace_classifier
from incdet.training.run_config import RunConfig
from incdet.training.samples.region_samples import RegionBatch, RegionSampler, SamplingConfig, build_pool
from incdet.training.training_data import DataConfig, PhotoStore, split_validation

VALIDATION_BATCH = 64


class RegionsTrainingConfig(RunConfig):
    """A whole training of a region classifier; see configs/regions_voc.yaml.

    Attributes:
        data: the photos.
        initial_weights: start of all layers; the last one is kept only where it is a region classifier for the same
            classes.
        frozen_stages: so many of GoogLeNet's five stages keep the initial weights: training takes less time, and the
            members of an ensemble can share them.
        context: pixels on every side of a crop that show what surrounds the region (R-CNN: 16 of 227). The network has
            learnt to expect the size of objects that comes with its initial weights, but gets used to another one.
        proposals: what regions are drawn from.
        sampling: what a batch is made of.
        dropout: of the pooled features.
        memory_gigabytes: photos up to this size stay decoded; processes on one machine share it.
        members: of an ensemble: what each changes in the settings above; see `member`.
    """

    data: DataConfig
    initial_weights: str
    frozen_stages: int = Field(0, ge=0, le=5)
    context: int = Field(Preprocessing().context, ge=0)
    proposals: ProposalsConfig = ProposalsConfig()
    sampling: SamplingConfig = SamplingConfig()
    dropout: float = Field(0.4, ge=0, lt=1)
    memory_gigabytes: float = Field(8.0, ge=0)
    members: tuple[dict[str, Any], ...] = ()

    def member(self, number: int) -> "RegionsTrainingConfig":
        """The training of member 1, 2, ... of an ensemble: what `members` says, and its own seed if it says none.

        The paper's members differ "only in sampling methodologies and the random order in which they see input images"
        (section 7). Members beyond those listed differ in their seeds alone.

        Raises:
            ConfigurationError: `members` holds something that is no setting.
        """
        values = self.model_dump(exclude={"members"}) | {"seed": self.seed + number - 1}
        own = self.members[number - 1] if number <= len(self.members) else {}
        return make_config(RegionsTrainingConfig, merged(values, own), f"member {number}")


class RegionsTask:
    """The region classifier as a task of the training loop.

    Args:
        dataset: photos with everything annotated, of which some are kept out for validation.
        cache: of their proposals.
        initial: the network to start from, and its record.
        config: the whole configuration.
        processes: the others that train the same network, if any.
        extra: photos that only lend their objects; see `DataConfig`.
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
        self.config, self.cache, self.processes = config, cache, processes or Processes()
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.training, self.validation = split_validation(dataset, config.data.validation_images)
        exhaustive = len(self.training)
        if extra is not None:
            self.training = self.training.joined(extra)
        self.classes = dataset.class_names
        start, self.initial = initial
        # what the network has learnt to expect, but for the context
        size = self.initial.preprocessing.size
        if config.context > size // 4:
            raise ConfigurationError(
                f"a context of {config.context} pixels leaves too little of {size} for the region; "
                f"set context to {size // 4} or less"
            )
        self.preprocessing = self.initial.preprocessing.model_copy(update={"context": config.context})
        self.photos = PhotoStore(self.training.image_paths, config.memory_gigabytes / self.processes.count_here)
        pool = build_pool(self._regions(), config.sampling, exhaustive)
        self.sampler = RegionSampler(pool, len(self.classes), config.sampling)
        self.keeps_classifier = self.initial.background and self.initial.classes == self.classes
        if self.keeps_classifier:
            network = keep_classifier(start, config.dropout)
        else:
            network = replace_classifier(start, len(self.classes) + 1, config.dropout, config.seed)
        self.network: GoogLeNet = network.to(self.device).to(memory_format=torch.channels_last)
        self.frozen = self.network.lower_layers(config.frozen_stages)
        for layer in self.frozen:
            layer.requires_grad_(False)

    def _regions(self) -> Iterator[tuple[GroundTruth, Proposals]]:
        for index, truth in enumerate(self.training.ground_truths):
            image = self.photos(index)
            yield truth.rescaled(image.width, image.height), self.cache(image)

    def task(self) -> Task[RegionBatch]:
        """What the loop needs to know; an epoch is as many regions with an object as there are objects."""
        epoch_size = round(self.sampler.num_objects / max(self.config.sampling.positive_share, 1e-9))
        batches = prefetched(self.draw)
        new_layers = () if self.keeps_classifier else ("classifier.",)
        return Task(self.network, new_layers, epoch_size, batches, self.losses, self.names, self.validate)

    def draw(self, step: int) -> RegionBatch:
        """What is this process's of the batch of a step, cut on the device."""
        rank, count = self.processes.rank, self.processes.count
        samples = self.sampler.draw(step, self.config.optimization.batch_size * count, self.config.seed)
        rows, flipped = (column[rank::count] for column in samples)
        return self.sampler.batch(rows, flipped, self.photos, self.preprocessing, self.device)

    def losses(self, network: nn.Module, batch: RegionBatch) -> dict[str, Tensor]:
        """Cross entropy over the classes and background, with soft targets where the sampling asks for them."""
        for layer in self.frozen:
            layer.eval()  # the statistics of batch normalisation, where there are any, are frozen, too
        inputs = batch.crops.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            logits = network(inputs).main
        return {"cross_entropy": F.cross_entropy(logits.float(), batch.targets, reduction="none")}

    def names(self, batch: RegionBatch) -> list[str]:
        """The photo of each region, and the region."""
        boxes, images = self.sampler.pool.boxes[batch.rows].round(), self.sampler.pool.images[batch.rows]
        paths = self.training.image_paths
        return [f"{paths[image]} at {box.astype(int).tolist()}" for image, box in zip(images, boxes, strict=True)]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """mAP (VOC rules) on the photos kept out of training; a rough guide, on a share of the proposals."""
        assert isinstance(network, GoogLeNet)
        detections, truths = [], []
        member = Member(network, TorchBackend(network), self.preprocessing.context)
        cascade, selection = Cascade([member]), DetectionsConfig()
        for path, truth in self.validation:
            image = read_image(path)
            boxes = self.cache(image)[: self.config.data.validation_proposals].boxes
            cropper = RegionCropper(image, self.preprocessing, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
                scored = score_regions(cropper, boxes, cascade, VALIDATION_BATCH).scores()
            scores = RegionScores(boxes, scored.probabilities)
            detections.append(select_detections(scores, image, self.classes, selection))
            truths.append(truth.rescaled(image.width, image.height))
        if not truths:
            return {}
        evaluation = evaluate_detections(self.classes, truths, detections)
        return {"validation_mAP": round(evaluation.mean_average_precision, 6)}

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """What is stored with the trained weights; `logged` are the last numbers of the log's validation."""
        number = self.config.data.validation_proposals
        what = f"mAP of {number} proposals a photo, photos of the training split kept out of training"
        measured = {what: logged["validation_mAP"]} if logged else {}
        first = self.config.frozen_stages + 1
        trained = {1: "all layers", 6: "the classifier"}.get(first, f"stages {first} to 5")
        return WeightsRecord(
            architecture=self.network.architecture.name,
            classes=self.classes,
            background=True,
            preprocessing=self.preprocessing,
            recipe=self.config.recipe(),
            origin=f"{trained} fine-tuned by incdet on {self.training.name}, from: {self.initial.origin}",
            measured=measured,
            licence=f"Apache-2.0; the terms of the photos and of the initial weights apply ({self.initial.licence})",
        )
