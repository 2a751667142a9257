"""Training MultiBox: the network that proposes boxes (Erhan et al. 2014; Szegedy et al. 2014)."""

import numpy as np
import torch
from torch import Tensor, nn

from incdet.config.sections import MultiBoxConfig
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox import MultiBox
from incdet.networks.priors import grid_priors
from incdet.networks.weights_record import WeightsRecord
from incdet.proposers.multibox_proposer import propose_boxes
from incdet.proposers.prior_clusters import cluster_priors, unit_boxes
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.structures import Image, Proposals
from incdet.training.loop import Task
from incdet.training.multibox_photos import choose_photos, coverage_numbers, read_photos
from incdet.training.multibox_training_config import MultiBoxTrainingConfig, multibox_preprocessing
from incdet.training.prior_matching import match_bipartite, match_by_overlap, multibox_losses
from incdet.training.samples.batch_loading import choose_num_workers
from incdet.training.samples.box_batches import BoxBatch, box_batches

VALIDATION_BATCH = 32
"""Number of photos that a validation looks at at a time."""


class MultiBoxTask:
    """The training of MultiBox as a task of the training loop.

    Args:
        dataset: photos in which every object is annotated; some of them are kept out for validation,
            unless `validation` has others.
        initial: the network whose convolutions training starts from, and its record.
        config: the whole configuration.
        processes: the processes that train the same network; None is this one alone.
        warn: takes a sentence about every photo that cannot be read.
        validation: photos of another split, which judge the network.

    Raises:
        PackageError: SciPy is needed for the matching or the clusters and is not installed.
        ConfigurationError: a class to be left out is unknown, there are fewer different boxes than priors, or the
            context of the initial weights does not fit.
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
        config.require_packages()
        self.config, self.processes, self.warn = config, processes or Processes(), warn
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.training, self.validation = choose_photos(dataset, config, validation)
        trunk, self.initial = initial
        self.preprocessing = multibox_preprocessing(config, self.initial)
        # the new layers draw their first weights from torch's global generator
        torch.manual_seed(config.seed)
        priors = torch.from_numpy(self._priors())
        network = MultiBox(priors, config.form, trunk.architecture)
        # the trunk is everything below the classifier and the box regressor
        outputs = ("classifier.", "box_regressor.")
        kept = {name: value for name, value in trunk.state_dict().items() if not name.startswith(outputs)}
        network.trunk.load_state_dict(kept)
        network.trunk.requires_grad_(config.train_trunk)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)

    def _priors(self) -> np.ndarray:
        """[P, 4] float32, corners normalised to [0, 1]."""
        if self.config.form == "grids":
            return grid_priors()
        return cluster_priors(unit_boxes(self.training.ground_truths), self.config.num_priors, self.config.seed)

    def task(self) -> Task[BoxBatch]:
        """Returns the description of the training for the loop."""
        config = self.config
        batches = box_batches(
            self.training,
            self.preprocessing.size,
            config.sampling,
            config.optimization.batch_size,
            config.seed,
            choose_num_workers(config.workers, self.device, self.processes),
            self.processes,
            self.warn,
            config.max_bad_share,
        )
        return Task(
            self.network,
            ("head.",),
            len(self.training),
            batches,
            self.losses,
            self.validate,
            num_validation=len(self.validation),
        )

    def inputs(self, batch: BoxBatch) -> Tensor:
        """Returns preprocessed crops [B, 3, size, size] float32 on the device, channels last."""
        crops = batch.crops.to(self.device, non_blocking=True)
        return self.preprocessing.apply(crops, batch.noise.to(self.device, non_blocking=True))

    def losses(self, network: nn.Module, batch: BoxBatch) -> dict[str, Tensor]:
        """Returns the two terms of every image [B], as published: sums over priors."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            outputs = network(self.inputs(batch))
        # the loss needs more precision than bfloat16
        locations, logits = self.network.decode(outputs.corner_offsets), outputs.logits.float()
        # photos have different numbers of objects, so they are matched one by one
        location_terms, confidence_terms = [], []
        for row, boxes in enumerate(batch.boxes_unit):
            location, confidence = self._image_losses(locations[row], logits[row], boxes.to(self.device))
            location_terms.append(location)
            confidence_terms.append(confidence)
        return {"location": torch.stack(location_terms), "confidence": torch.stack(confidence_terms)}

    def _image_losses(self, locations: Tensor, logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of one image; locations [P, 4], logits [P], boxes [K, 4]."""
        loss = self.config.loss
        if loss.matching == "bipartite":
            matched = match_bipartite(locations, logits, boxes, loss.alpha)
        else:
            matched = match_by_overlap(self.network.get_buffer("priors"), boxes, loss.matching_iou)
        return multibox_losses(locations, logits, matched, boxes, loss.alpha)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the coverage at IoU 0.5 and the average recall of the best boxes on the photos kept out of training.

        The network sees whole photos only, without crops of them, which takes a fifteenth of the time. With classes
        left out of training, the coverage of their objects alone is measured, too.
        """
        assert isinstance(network, MultiBox)
        # in batches, because all validation photos together may not fit into memory
        truths, proposals = [], []
        for start in range(0, len(self.validation), VALIDATION_BATCH):
            indices = range(start, min(start + VALIDATION_BATCH, len(self.validation)))
            images, found = read_photos(self.validation, indices, self.warn)
            truths += found
            proposals += self._propose(network, images)
        return coverage_numbers(truths, proposals, self.validation, self.config.left_out_classes)

    def _propose(self, network: MultiBox, images: list[Image]) -> list[Proposals]:
        """The best boxes of every image."""
        if not images:
            return []
        config = MultiBoxConfig(limit=self.config.data.validation_proposals, crop_sides=())
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            return propose_boxes(images, network, self.preprocessing, config)

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """Returns the record that is stored with the trained weights.

        Args:
            logged: numbers of the last validation in the log.
        """
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
            measured={what: logged["validation_coverage"]} if "validation_coverage" in logged else {},
            licence=f"Apache-2.0; the terms of the photos and of the initial weights apply ({self.initial.licence})",
            multibox=self.network.describe(),
        )
