"""Training MultiBox on shared feature maps: layers that read what a region network computes of whole photos."""

import copy

import torch
from torch import Tensor, nn

from incdet.config.sections import MultiBoxConfig
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox import BoxOutputs
from incdet.networks.multibox_description import SharedMultiBoxDescription
from incdet.networks.photo_levels import PhotoLevel, photo_input
from incdet.networks.shared_multibox import SharedMultiBox
from incdet.networks.stage_signature import stage_signature
from incdet.networks.weights_record import WeightsRecord
from incdet.proposers.shared_multibox_proposer import propose_from_levels
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.structures import Image, Proposals
from incdet.training.loop import Task
from incdet.training.multibox_photos import choose_photos, coverage_numbers, read_photos
from incdet.training.multibox_training_config import MultiBoxTrainingConfig, multibox_preprocessing
from incdet.training.prior_matching import match_by_overlap, multibox_losses
from incdet.training.samples.batch_loading import choose_num_workers
from incdet.training.samples.photo_box_batches import PhotoBoxBatch, PhotoBoxSampler, photo_box_batches


class SharedMultiBoxTask:
    """The training of MultiBox on shared feature maps as a task of the training loop.

    Args:
        dataset: photos in which every object is annotated; some of them are kept out for validation, unless
            `validation` has others.
        initial: the region network that computes the feature maps, which stays as it is, and its record.
        config: the whole configuration.
        processes: the processes that train the same layers; None is this one alone.
        warn: takes a sentence about every photo that cannot be read.
        validation: photos of another split, which judge the layers.

    Raises:
        ConfigurationError: a class to be left out is unknown, or the feature maps have another number of channels.
        DataError: no photo is left to train on.
    """

    def __init__(
        self,
        dataset: Dataset,
        initial: tuple[GoogLeNet, WeightsRecord],
        config: MultiBoxTrainingConfig,
        processes: Processes | None = None,
        warn: Warn = no_warning,
        validation: Dataset | None = None,
    ) -> None:
        self.config, self.processes, self.warn = config, processes or Processes(), warn
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.training, self.validation = choose_photos(dataset, config, validation)
        start, self.initial = initial
        self.preprocessing = multibox_preprocessing(config, self.initial)
        shared = config.shared
        description = SharedMultiBoxDescription(
            offset_unit=shared.offset_unit,
            prior_sides=shared.prior_sides,
            aspect_ratios=shared.aspect_ratios,
            channels=shared.channels,
            network=config.initial_weights,
            signature=stage_signature(start),
        )
        # the layers draw their first weights from torch's global generator
        torch.manual_seed(config.seed)
        self.network = SharedMultiBox(description).to(self.device).to(memory_format=torch.channels_last)
        # it is no part of what is trained, so checkpoints do not hold it
        self._features = TorchBackend(prepare_network(copy.deepcopy(start), self.device, self.precision))

    def task(self) -> Task[PhotoBoxBatch]:
        """Returns the description of the training for the loop."""
        config = self.config
        batches = photo_box_batches(
            self.training,
            PhotoBoxSampler(config.shared, self.preprocessing),
            config.optimization.batch_size,
            config.seed,
            choose_num_workers(config.workers, self.device, self.processes),
            self.processes,
            self.warn,
            config.max_bad_share,
        )
        return Task(
            self.network,
            (),
            len(self.training),
            batches,
            self.losses,
            self.validate,
            num_validation=len(self.validation),
        )

    def losses(self, network: nn.Module, batch: PhotoBoxBatch) -> dict[str, Tensor]:
        """Returns the two terms of every photo [B], as published: sums over priors."""
        location_terms, confidence_terms = [], []
        # photos have sizes of their own, so they are computed one by one
        feature_maps = [self._feature_maps(photo) for photo in batch.photos]
        with self._autocast():
            outputs = [network(maps) for maps in feature_maps]
        for maps, found, boxes in zip(feature_maps, outputs, batch.boxes, strict=True):
            location, confidence = self._photo_losses(maps, found, boxes.to(self.device))
            location_terms.append(location)
            confidence_terms.append(confidence)
        return {"location": torch.stack(location_terms), "confidence": torch.stack(confidence_terms)}

    def _photo_losses(self, feature_maps: Tensor, outputs: BoxOutputs, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of one photo; feature maps [1, 832, h, w], boxes [K, 4] in pixels of the resized photo."""
        loss = self.config.loss
        priors = self.network.priors(*feature_maps.shape[2:]).to(self.device)
        matched, objects = match_by_overlap(priors, boxes, loss.matching_iou)
        # the loss measures distances in widths and heights of the priors, and needs more precision than bfloat16
        unit = self.network.description.offset_unit
        locations = outputs.corner_offsets[0].float() * unit
        targets = self.network.encode(priors[matched], boxes[objects]) * unit
        rows = torch.arange(len(matched), device=self.device)
        return multibox_losses(locations, outputs.logits[0].float(), (matched, rows), targets, loss.alpha)

    @torch.no_grad()
    def _feature_maps(self, photo: Tensor) -> Tensor:
        return self._features.photo_features(photo.to(self.device, non_blocking=True))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the coverage at IoU 0.5 and the average recall of the best boxes on photos kept out of training."""
        assert isinstance(network, SharedMultiBox)
        config = MultiBoxConfig(limit=self.config.data.validation_proposals)
        truths, proposals = [], []
        # one after the other, because feature maps of many photos would not fit into memory
        for index in range(len(self.validation)):
            images, found = read_photos(self.validation, [index], self.warn)
            truths += found
            proposals += [self._propose(network, image, config) for image in images]
        return coverage_numbers(truths, proposals, self.validation, self.config.left_out_classes)

    @torch.no_grad()
    def _propose(self, network: SharedMultiBox, image: Image, config: MultiBoxConfig) -> Proposals:
        """The best boxes of a photo at the sizes that detection uses."""
        levels = []
        for photo_side in self.preprocessing.photo_sides:
            photo, scale = photo_input(image, self.preprocessing, photo_side)
            levels.append(PhotoLevel(scale, self._feature_maps(photo)))
        with self._autocast():
            return propose_from_levels(image, network, levels, config)

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """Returns the record that is stored with the trained weights.

        Args:
            logged: numbers of the last validation in the log.
        """
        number = self.config.data.validation_proposals
        what = f"coverage of {number} boxes, IoU 0.5, photos kept out of training"
        return WeightsRecord(
            architecture=self.initial.architecture,
            classes=self.training.class_names,
            background=False,
            preprocessing=self.preprocessing,
            features="shared",
            recipe=self.config.recipe(),
            origin=f"proposing layers trained by incdet on {self.training.name}, from: {self.initial.origin}",
            measured={what: logged["validation_coverage"]} if "validation_coverage" in logged else {},
            licence=f"Apache-2.0; the terms of the photos and of the initial weights apply ({self.initial.licence})",
            multibox=self.network.description,
        )
