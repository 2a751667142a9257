"""Training a classifier of whole photos as the paper's section 6 does: from scratch, or from other weights."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.data.dataset import Warn, no_warning
from incdet.errors import ConfigurationError
from incdet.evaluation.top_k import top_k_accuracy
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import INPUT_SIZE, GoogLeNet
from incdet.networks.weights import Preprocessing, WeightsRecord, find_weights, load_network
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.training.loop import Task
from incdet.training.new_layers import replace_classifier
from incdet.training.run_config import RunConfig
from incdet.training.samples.distortions import DistortionsConfig
from incdet.training.samples.loading import choose_num_workers
from incdet.training.samples.photo_sources import PhotosConfig, hold_out, open_photos
from incdet.training.samples.training_crops import CropBatch, centre_batches, crop_batches

VALIDATION_BATCH = 64


class ClassifierTrainingConfig(RunConfig):
    """A whole training of a classifier; see configs/googlenet_imagenet.yaml.

    Attributes:
        data: the photos to learn from.
        validation: others to judge by; or `held_out`.
        held_out: so many photos of `data`, evenly spaced, are kept out of training and judged instead.
        architecture: a name that `incdet info --network all` lists.
        initial_weights: whose layers, but for the last, training starts from; their architecture is taken.
        auxiliary: with the two classifiers on 4a and 4d.
        auxiliary_weight: what their losses count (paper: 0.3).
        dropout: of the pooled features; none given is the architecture's (paper: 40 %).
        size: of the crops, in pixels.
        distortions: of the crops.
        workers: processes that read and distort photos; none given is one, and with a GPU all but one of the cores.
    """

    data: PhotosConfig
    validation: PhotosConfig | None = None
    held_out: int = Field(0, ge=0)
    architecture: str = "table"
    initial_weights: str | None = None
    auxiliary: bool = True
    auxiliary_weight: float = Field(0.3, ge=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    size: int = Field(INPUT_SIZE, ge=96, le=1024)
    distortions: DistortionsConfig = DistortionsConfig()
    workers: int | None = Field(None, ge=0)

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            raise ValueError(f"there is no network '{name}'; known: {', '.join(ARCHITECTURES)}")
        return name


class ClassificationTask:
    """The classifier of whole photos as a task of the training loop.

    Args:
        config: everything that matters.
        processes: the others that train the same network, if any.
        warn: told of photos that cannot be read.

    Raises:
        ConfigurationError: the configuration does not fit the data.
        WeightsError, DataError, ImageError: what it names is missing or malformed.
    """

    def __init__(
        self, config: ClassifierTrainingConfig, processes: Processes | None = None, warn: Warn = no_warning
    ) -> None:
        self.config, self.processes, self.warn = config, processes or Processes(), warn
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.source = open_photos(config.data)
        self.chosen, self.held_out = hold_out(self.source, config.held_out)
        self.judged, self.judged_indices = self.source, self.held_out
        if config.validation is not None:
            if config.held_out:
                raise ConfigurationError(
                    "validation and held_out exclude each other; set held_out to 0 or leave one out"
                )
            self.judged = open_photos(config.validation)
            self.judged_indices = np.arange(len(self.judged.class_ids))
        if self.judged.class_names != self.source.class_names:
            raise ConfigurationError("the photos of data and those of validation differ in their classes")
        self.classes = self.source.class_names
        network, self.preprocessing, self.origin = self._start()
        self.network: GoogLeNet = network.to(self.device).to(memory_format=torch.channels_last)
        self.num_workers = choose_num_workers(config.workers, self.device, self.processes)

    def _start(self) -> tuple[GoogLeNet, Preprocessing, str]:
        """The network as training begins, what its input looks like, and where it comes from."""
        config = self.config
        if config.initial_weights is not None:
            initial, record = load_network(find_weights(config.initial_weights))
            network = replace_classifier(initial, len(self.classes), config.dropout, config.seed, config.auxiliary)
            preprocessing = record.preprocessing.model_copy(update={"size": config.size})
            return network, preprocessing, f"all layers fine-tuned by incdet, from: {record.origin}"
        torch.manual_seed(config.seed)
        architecture = ARCHITECTURES[config.architecture]
        network = GoogLeNet(len(self.classes), config.auxiliary, config.dropout, architecture)
        return network, Preprocessing(size=config.size), "trained from scratch by incdet"

    def task(self) -> Task[CropBatch]:
        """What the loop needs to know."""
        new_layers = () if self.config.initial_weights is None else ("classifier.", "auxiliary_")
        batches = crop_batches(
            self.source,
            self.chosen,
            self.config.size,
            self.config.distortions,
            self.config.optimization.batch_size,
            self.config.seed,
            self.num_workers,
            self.processes,
            self.warn,
        )
        names = lambda batch: batch.names  # noqa: E731
        return Task(self.network, new_layers, len(self.chosen), batches, self.losses, names, self.validate)

    def inputs(self, batch: CropBatch) -> Tensor:
        """Preprocessed crops [B, 3, size, size] float32 on the device, channels last."""
        crops, noise = (part.to(self.device, non_blocking=True) for part in (batch.crops, batch.noise))
        return self.preprocessing.apply(crops, noise)

    def losses(self, network: nn.Module, batch: CropBatch) -> dict[str, Tensor]:
        """Cross entropy of the main classifier and, with their weight, of the auxiliary ones (section 5)."""
        targets = batch.targets.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            logits = network(self.inputs(batch))
        weights = {"main": 1.0, "auxiliary_4a": self.config.auxiliary_weight}
        weights["auxiliary_4d"] = weights["auxiliary_4a"]
        return {
            name: weights[name] * F.cross_entropy(values.float(), targets, reduction="none")
            for name, values in logits._asdict().items()
            if values is not None
        }

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Top-1 and top-5 accuracy of the main classifier on the centres of the photos that are judged."""
        if len(self.judged_indices) == 0:
            return {}
        probabilities, class_ids = [], []
        arguments = self.judged_indices, self.preprocessing, VALIDATION_BATCH, self.num_workers
        for crops, ids in centre_batches(self.judged, *arguments):
            inputs = crops.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
                logits = network(inputs).main
            probabilities.append(logits.float().softmax(dim=1).cpu().numpy())
            class_ids.append(ids)
        scores, targets = np.concatenate(probabilities), np.concatenate(class_ids)
        return {f"validation_top{k}": round(top_k_accuracy(scores, targets, k), 6) for k in (1, 5)}

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """What is stored with the trained weights; `logged` are the last numbers of the log's validation."""
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
