"""Training a classifier of whole photos as the paper's section 6 does: from scratch, or from other weights."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.data.dataset import Warn, no_warning
from incdet.data.identity import identify_photos
from incdet.errors import ConfigurationError
from incdet.evaluation.top_k import top_k_accuracy
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.training.checkpoint_settings import identify_learnt
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.loop import Task
from incdet.training.new_layers import replace_classifier
from incdet.training.samples.batch_loading import choose_num_workers
from incdet.training.samples.centre_crops import centre_batches
from incdet.training.samples.crop_batches import CropBatch, crop_batches
from incdet.training.samples.photo_sources import PhotosConfig, PhotoSource, hold_out_photos, open_photos

VALIDATION_BATCH = 64
"""Number of photos that a validation classifies at a time."""


class ClassificationTask:
    """The training of a classifier of whole photos as a task of the training loop.

    Args:
        config: the whole configuration.
        processes: the processes that train the same network; None is this one alone.
        warn: takes a sentence about every photo that cannot be read, and about files that are passed over.
        open_source: opens the photos of a configuration; default `open_photos`.

    Raises:
        ConfigurationError: the configuration does not fit the data.
        WeightsError: the initial weights are missing or malformed.
        DataError: photos, annotations or lists are missing or malformed.
        ImageError: a folder has no photos.
    """

    def __init__(
        self,
        config: ClassifierTrainingConfig,
        processes: Processes | None = None,
        warn: Warn = no_warning,
        open_source: Callable[[PhotosConfig, Warn], PhotoSource] = open_photos,
    ) -> None:
        self.config, self.processes, self.warn = config, processes or Processes(), warn
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.source = open_source(config.data, warn)
        self.training_indices, self.validation_indices = hold_out_photos(self.source, config.validation_images)
        # the validation judges photos kept out of training, or those of another folder
        self.validation_source = self.source
        if config.validation is not None:
            if config.validation_images:
                raise ConfigurationError(
                    "validation and validation_images exclude each other; set validation_images to 0 or leave one out"
                )
            self.validation_source = open_source(config.validation, warn)
            self.validation_indices = np.arange(len(self.validation_source.class_ids))
        if self.validation_source.class_names != self.source.class_names:
            raise ConfigurationError("the photos of data and those of validation differ in their classes")
        self.classes = self.source.class_names
        network, self.preprocessing, self.origin = self._start()
        self.network: GoogLeNet = network.to(self.device).to(memory_format=torch.channels_last)
        self.num_workers = choose_num_workers(config.workers, self.device, self.processes)

    def _start(self) -> tuple[GoogLeNet, Preprocessing, str]:
        """The network as training begins, its preprocessing, and its origin in words."""
        config = self.config
        if config.initial_weights is not None:
            initial, record = load_network(find_weights(config.initial_weights))
            network = replace_classifier(initial, len(self.classes), config.dropout, config.seed, config.auxiliary)
            # whole photos have no surroundings, and the context of regions may be too large for another size
            preprocessing = record.preprocessing.model_copy(update={"size": config.size, "context": 0})
            return network, preprocessing, f"all layers fine-tuned by incdet, from: {record.origin}"
        # a network from scratch draws its first weights from torch's global generator
        torch.manual_seed(config.seed)
        architecture = ARCHITECTURES[config.architecture]
        network = GoogLeNet(len(self.classes), config.auxiliary, config.dropout, architecture)
        return network, Preprocessing(size=config.size), "trained from scratch by incdet"

    def task(self) -> Task[CropBatch]:
        """Returns the description of the training for the loop."""
        config = self.config
        # from scratch, no layer is newer than another
        new_layers = () if config.initial_weights is None else ("classifier.", "auxiliary_")
        batches = crop_batches(
            self.source,
            self.training_indices,
            config.size,
            config.distortions,
            config.optimization.batch_size,
            config.seed,
            self.num_workers,
            self.processes,
            self.warn,
            config.max_bad_share,
        )
        return Task(
            self.network,
            new_layers,
            len(self.training_indices),
            batches,
            self.losses,
            self.validate,
            num_validation=len(self.validation_indices),
        )

    def data_identity(self) -> dict[str, Any]:
        """Returns what the photos and their classes are, and which are learnt; see `identify_photos`."""
        root = Path(self.config.data.root)
        names = [os.path.relpath(self.source.name(index), root) for index in range(len(self.source.class_ids))]
        identity = identify_photos(root.resolve().name, self.classes, names, self.source.class_ids)
        return identity | identify_learnt(names[index] for index in self.training_indices)

    def inputs(self, batch: CropBatch) -> Tensor:
        """Returns preprocessed crops [B, 3, size, size] float32 on the device, channels last."""
        crops = batch.crops.to(self.device, non_blocking=True)
        return self.preprocessing.apply(crops, batch.noise.to(self.device, non_blocking=True))

    def losses(self, network: nn.Module, batch: CropBatch) -> dict[str, Tensor]:
        """Returns the cross entropy [B] of the main classifier and, weighted, of the auxiliary ones (section 5)."""
        targets = batch.targets.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            logits = network(self.inputs(batch))
        losses = {}
        for name, values in logits._asdict().items():
            # a network without auxiliary classifiers has no logits of theirs
            if values is not None:
                weight = 1.0 if name == "main" else self.config.auxiliary_weight
                # in float32: the exponentials of bfloat16 logits lose too much
                losses[name] = weight * F.cross_entropy(values.float(), targets, reduction="none")
        return losses

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the top-1 and top-5 accuracy of the main classifier on the centres of the validation photos.

        Photos that cannot be read are named and left out; without any other photo there is no accuracy.
        """
        if len(self.validation_indices) == 0:
            return {}
        batches = centre_batches(
            self.validation_source,
            self.validation_indices,
            self.preprocessing,
            VALIDATION_BATCH,
            self.num_workers,
            self.warn,
        )
        probabilities, class_ids = [], []
        for crops, ids in batches:
            inputs = crops.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
                logits = network(inputs).main
            probabilities.append(logits.float().softmax(dim=1).cpu().numpy())
            class_ids.append(ids)
        if not class_ids:
            return {}
        scores, targets = np.concatenate(probabilities), np.concatenate(class_ids)
        return {f"validation_top{k}": round(top_k_accuracy(scores, targets, k), 6) for k in (1, 5)}

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """Returns the record that is stored with the trained weights.

        Args:
            logged: numbers of the last validation in the log.
        """
        names = {"validation_top1": "top-1", "validation_top5": "top-5"}
        what = "photos kept out of training" if self.config.validation is None else "the validation photos"
        return WeightsRecord(
            architecture=self.network.architecture.name,
            classes=self.classes,
            background=False,
            preprocessing=self.preprocessing,
            recipe=self.config.recipe(),
            origin=f"{self.origin} on {Path(self.config.data.root).name}",
            measured={f"{name}, centre crops of {what}": logged[key] for key, name in names.items() if key in logged},
            licence="Apache-2.0; the terms of the photos and of the initial weights apply",
        )
