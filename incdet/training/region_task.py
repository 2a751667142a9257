"""Training a region classifier on crops: a classifier of photos learns to name regions and background (R-CNN)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.config.sections import DetectionsConfig
from incdet.detections import Detections
from incdet.networks.engines.torch_backend import TorchBackend
from incdet.networks.ensemble import Member
from incdet.networks.googlenet import GoogLeNet
from incdet.pipeline.cascade import Cascade
from incdet.pipeline.detection_selection import select_detections
from incdet.regions import RegionCropper
from incdet.scores import score_regions
from incdet.structures import Image
from incdet.training.loop import Task
from incdet.training.region_training import VALIDATION_BATCH, RegionTraining
from incdet.training.samples.batch_loading import choose_num_workers
from incdet.training.samples.region_batches import RegionBatch, region_batches
from incdet.training.samples.region_pool import build_pool
from incdet.training.samples.region_sampler import RegionSampler


class RegionsTask(RegionTraining):
    """The training of a region classifier on crops as a task of the training loop.

    The arguments are those of `RegionTraining`.

    Raises:
        ConfigurationError: the context leaves too little room for the region.
        DataError: no photo is left to train on, or the photos have no objects or no backgrounds.
        ImageError: a photo without known proposals cannot be read.
    """

    def prepare_samples(self, start: GoogLeNet) -> None:
        """Makes the pool of regions; see `RegionTraining.prepare_samples`."""
        pool = build_pool(self.annotated_proposals(), self.config.sampling, self.num_exhaustive)
        self.sampler = RegionSampler(pool, len(self.classes), self.config.sampling)

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
            self.warn,
            config.max_bad_share,
        )
        # only a last layer that starts anew learns faster
        new_layers = () if self.keeps_classifier else ("classifier.",)
        return Task(
            self.network,
            new_layers,
            epoch_size,
            batches,
            self.losses,
            self.validate,
            num_validation=len(self.validation),
        )

    def inputs(self, batch: RegionBatch) -> Tensor:
        """Returns preprocessed crops [B, 3, size, size] float32 on the device, channels last."""
        crops = batch.crops.to(self.device, non_blocking=True)
        return crops.contiguous(memory_format=torch.channels_last)

    def losses(self, network: nn.Module, batch: RegionBatch) -> dict[str, Tensor]:
        """Returns the cross entropy [B] over the classes and background, with soft targets where the sampling asks."""
        self.keep_frozen_statistics()
        targets = batch.targets.to(self.device, non_blocking=True)
        with self.autocast():
            logits = network(self.inputs(batch)).main
        return {"cross_entropy": F.cross_entropy(logits.float(), targets, reduction="none")}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the mAP (VOC rules) on the photos kept out of training; a rough guide on a few proposals a photo."""
        assert isinstance(network, GoogLeNet)
        # detection as users run it, with this network as the only member and without a rejection network
        cascade = Cascade([Member(network, TorchBackend(network), self.preprocessing.context)])
        return self.measure(lambda image: self._detect(image, cascade))

    def _detect(self, image: Image, cascade: Cascade) -> Detections:
        """The detections among the best proposals of a photo."""
        cropper = RegionCropper(image, self.preprocessing, self.device)
        with self.autocast():
            scores = score_regions(cropper, self.validation_boxes(image), cascade, VALIDATION_BATCH).scores()
        return select_detections(scores, image, self.classes, DetectionsConfig())
