"""Fine-tuning a region classifier: from ImageNet weights to C classes + background."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.config import DetectionsConfig, ImagesConfig, ProposalsConfig, Section
from incdet.data.dataset import Dataset
from incdet.data.region_samples import RegionBatch, RegionSampler, SamplingConfig, build_pool
from incdet.detections import select_detections
from incdet.device import choose_device, choose_precision
from incdet.evaluation.average_precision import evaluate_detections
from incdet.images import read_image
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import Preprocessing, WeightsRecord
from incdet.proposals import ProposalCache
from incdet.regions import crop_regions
from incdet.scores import score_regions
from incdet.structures import GroundTruth, Image, Proposals, RegionScores
from incdet.training.loop import Task, prefetched
from incdet.training.new_layers import replace_classifier
from incdet.training.processes import Processes
from incdet.training.run_config import RunConfig

VALIDATION_BATCH = 64


class DataConfig(Section):
    """Where the photos are.

    Attributes:
        dataset, root, split: as for `tools/eval_map.py`.
        validation_images: this many photos of the split, evenly spaced, are kept out of training and judged instead.
        validation_proposals: best proposals per validation photo that are classified.
    """

    dataset: Literal["voc", "coco", "ilsvrc"] = "voc"
    root: str
    split: str = "train"
    validation_images: int = Field(32, ge=0)
    validation_proposals: int = Field(300, ge=1)


class RegionsTrainingConfig(RunConfig):
    """A whole training of a region classifier; see configs/regions_voc.yaml."""

    data: DataConfig
    initial_weights: str
    proposals: ProposalsConfig = ProposalsConfig()
    sampling: SamplingConfig = SamplingConfig()
    dropout: float = Field(0.4, ge=0, lt=1)
    memory_gigabytes: float = Field(8.0, ge=0)


class PhotoStore:
    """Photos by index, kept decoded in memory up to a limit, read from disk beyond it."""

    def __init__(self, paths: tuple[Path, ...], gigabytes: float):
        self._paths = paths
        self._room = gigabytes * 1e9
        self._kept: dict[int, Image] = {}

    def __call__(self, index: int) -> Image:
        """The photo with this index.

        Raises:
            ImageError: it cannot be read.
        """
        if index not in self._kept:
            image = read_image(self._paths[index], ImagesConfig())
            if image.pixels.nbytes > self._room:
                return image
            self._room -= image.pixels.nbytes
            self._kept[index] = image
        return self._kept[index]


def split_validation(dataset: Dataset, num_validation: int) -> tuple[Dataset, Dataset]:
    """(training photos, validation photos), the latter evenly spaced over the data set."""
    chosen = set(np.linspace(0, len(dataset) - 1, num_validation).round().astype(int).tolist())
    rest = [index for index in range(len(dataset)) if index not in chosen]
    return dataset.subset(rest), dataset.subset(sorted(chosen))


class RegionsTask:
    """The region classifier as a task of the training loop."""

    def __init__(
        self,
        dataset: Dataset,
        cache: ProposalCache,
        initial: tuple[GoogLeNet, WeightsRecord],
        config: RegionsTrainingConfig,
        processes: Processes | None = None,
    ) -> None:
        self.config, self.cache, self.processes = config, cache, processes or Processes()
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.training, self.validation = split_validation(dataset, config.data.validation_images)
        self.classes = dataset.class_names
        start, self.initial = initial
        # what the network has learnt to expect, with R-CNN's context around regions
        context = Preprocessing().context
        self.preprocessing = self.initial.preprocessing.model_copy(update={"context": context})
        self.photos = PhotoStore(self.training.image_paths, config.memory_gigabytes)
        truths, proposals = self._regions()
        pool = build_pool(truths, proposals, config.sampling.positive_iou)
        self.sampler = RegionSampler(pool, len(self.classes), config.sampling)
        network = replace_classifier(start, len(self.classes) + 1, config.dropout, config.seed)
        self.network: GoogLeNet = network.to(self.device).to(memory_format=torch.channels_last)

    def _regions(self) -> tuple[list[GroundTruth], list[Proposals]]:
        truths, proposals = [], []
        for index, truth in enumerate(self.training.ground_truths):
            image = self.photos(index)
            truths.append(truth.rescaled(image.width, image.height))
            proposals.append(self.cache(image))
        return truths, proposals

    def task(self) -> Task[RegionBatch]:
        """What the loop needs to know; an epoch is as many regions with an object as there are objects."""
        epoch_size = round(self.sampler.num_objects / max(self.config.sampling.positive_share, 1e-9))
        batches = prefetched(self.draw)
        return Task(self.network, ("classifier.",), epoch_size, batches, self.losses, self.names, self.validate)

    def draw(self, step: int) -> RegionBatch:
        """What is this process's of the batch of a step, cut on the device."""
        rank, count = self.processes.rank, self.processes.count
        samples = self.sampler.draw(step, self.config.optimization.batch_size * count, self.config.seed)
        rows, flipped = (column[rank::count] for column in samples)
        return self.sampler.batch(rows, flipped, self.photos, self.preprocessing, self.device)

    def losses(self, network: nn.Module, batch: RegionBatch) -> dict[str, Tensor]:
        """Cross entropy over the classes and background."""
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
        selection = DetectionsConfig()
        for path, truth in self.validation:
            image = read_image(path)
            boxes = self.cache(image)[: self.config.data.validation_proposals].boxes
            crops = crop_regions(image, boxes, self.preprocessing, self.device, VALIDATION_BATCH)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
                probabilities = score_regions(crops, [network], len(self.classes))
            scores = RegionScores(boxes, probabilities)
            detections.append(select_detections(scores, image, self.classes, selection))
            truths.append(truth.rescaled(image.width, image.height))
        if not truths:
            return {}
        evaluation = evaluate_detections(self.classes, truths, detections)
        return {"validation_mAP": round(evaluation.mean_average_precision, 6)}

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """What is stored with the trained weights; `logged` are the last numbers of the log's validation."""
        what = "mAP on photos of the training split kept out of training"
        measured = {what: logged["validation_mAP"]} if logged else {}
        return WeightsRecord(
            architecture=self.network.architecture.name,
            classes=self.classes,
            background=True,
            preprocessing=self.preprocessing,
            recipe=self.config.recipe(),
            origin=f"all layers fine-tuned by incdet on {self.training.name}, from: {self.initial.origin}",
            measured=measured,
            licence=f"Apache-2.0; the terms of the photos and of the initial weights apply ({self.initial.licence})",
        )
