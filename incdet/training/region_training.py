"""The part that all trainings of region classifiers share: photos, initial network, validation, record."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from incdet.data.dataset import Dataset
from incdet.data.identity import identify_datasets
from incdet.data.impossible_boxes import learnable
from incdet.data.photo_frame import fit_to_photo
from incdet.detections import Detections
from incdet.errors import ImageError
from incdet.evaluation.average_precision import evaluate_detections
from incdet.images import read_image
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import WeightsRecord
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.device import choose_device, choose_precision
from incdet.runtime.distributed import Processes
from incdet.runtime.reporter import SILENT, Reporter
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.checkpoint_settings import identify_learnt
from incdet.training.data_checks import choose_learnt
from incdet.training.new_layers import copy_with_dropout, replace_classifier
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.region_training_config import RegionsTrainingConfig, region_preprocessing
from incdet.training.samples.batch_loading import BadPhotos
from incdet.training.training_data import PhotosOfTraining

VALIDATION_BATCH = 64
"""Number of regions that a validation classifies at a time."""


class RegionTraining(ABC):
    """The training of a region classifier, without its samples and its losses.

    Args:
        dataset: photos in which every object is annotated; some of them are kept out for validation, unless
            `validation` has others.
        cache: the cache of their proposals.
        initial: the network to start from, and its record.
        config: the whole configuration.
        processes: the processes that train the same network; None is this one alone.
        extra: photos that only lend their objects; see `DataConfig`.
        reporter: listener of whatever takes a while; it is warned of every photo that cannot be used.
        validation: photos of another split, which judge the network.

    Attributes:
        training: the photos that are learnt, those of `extra` last.
        num_exhaustive: number of photos, the first ones, in which every object is annotated.
        validation: the photos that judge the network, which are kept out of training.
        validated_on: description of these photos, in words.
        keeps_classifier: whether the network already names regions of these classes and goes on with its last layer.
        frozen: the layers that do not learn.
        data_identity: names and checksums of the photos and annotations, and of the photos that are learnt; see
            `identify_datasets` and `identify_learnt`.

    Raises:
        ConfigurationError: the context leaves too little room for the region.
        DataError: no photo is left to train on.
    """

    def __init__(
        self,
        dataset: Dataset,
        cache: ProposalCache,
        initial: tuple[GoogLeNet, WeightsRecord],
        config: RegionsTrainingConfig,
        processes: Processes | None = None,
        extra: Dataset | None = None,
        reporter: Reporter = SILENT,
        validation: Dataset | None = None,
    ) -> None:
        self.reporter, self.warn = reporter, reporter.warn
        self.config, self.processes, self.classes = config, processes or Processes(), dataset.class_names
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.proposals = PhotoProposals(cache)
        # photos of `extra` come last, because only the first ones lend background
        self.training, self.validation = choose_learnt(PhotosOfTraining(dataset, extra, validation), config.data)
        self.validated_on = "photos of the training split kept out of training"
        if validation is not None:
            self.validated_on = f"photos of {validation.name}"
        self.num_exhaustive = len(self.training) - (0 if extra is None else len(extra))
        self.data_identity = identify_datasets([dataset] if extra is None else [dataset, extra])
        self.data_identity |= identify_learnt(truth.image for truth in self.training.ground_truths)
        start, self.initial = initial
        self.preprocessing = region_preprocessing(config, self.initial)
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
        self.prepare_samples(start)

    @abstractmethod
    def prepare_samples(self, start: GoogLeNet) -> None:
        """Makes ready what draws the samples, and layers that the network lacks.

        Args:
            start: the network to start from.
        """

    def annotated_proposals(self) -> Iterator[tuple[GroundTruth, Proposals]]:
        """Yields the annotation of every training photo, in pixels of its file, and its proposals.

        A photo that cannot be read, or that its annotation contradicts, is named and has neither.

        Raises:
            DataError: too many photos cannot be used.
        """
        bad = BadPhotos(len(self.training), self.warn, self.config.max_bad_share)
        with self.reporter.progress("regions", len(self.training)) as update:
            for done, (path, truth) in enumerate(self.training, 1):
                try:
                    photo = self.proposals(path)
                    fitting = learnable(fit_to_photo(truth, photo.width, photo.height, path))
                except ImageError as error:
                    bad.add(str(error))
                    # without regions it is never drawn
                    yield _without_objects(truth), no_proposals()
                else:
                    yield fitting, photo.proposals
                update(done, path.name)
        bad.tell_number()

    def keep_frozen_statistics(self) -> None:
        """Makes batch normalisation in frozen layers, where there is any, keep its statistics."""
        for layer in self.frozen:
            layer.eval()

    def autocast(self) -> torch.autocast:
        """Returns the context in which the network computes in the training's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16)

    def measure(self, detect: Callable[[Image], Detections]) -> dict[str, float]:
        """Returns the mAP (VOC rules) on the photos kept out of training; empty where they show no object that counts.

        Args:
            detect: photo -> its detections.
        """
        detections, truths = [], []
        with self.reporter.progress("validation", len(self.validation)) as update:
            for done, (path, truth) in enumerate(self.validation, 1):
                try:
                    image = read_image(path)
                    fitting = fit_to_photo(truth, image.width, image.height, path)
                except ImageError as error:
                    self.warn(f"{error}; it is left out of the validation")
                    continue
                detections.append(detect(image))
                truths.append(fitting)
                update(done, path.name)
        if not truths:
            return {}
        precision = evaluate_detections(self.classes, truths, detections).mean_average_precision
        # without an object of any class there is no mean
        return {"validation_mAP": round(precision, 6)} if math.isfinite(precision) else {}

    def validation_boxes(self, image: Image) -> np.ndarray:
        """Returns the best proposals of a photo that the validation uses, [R, 4] float32."""
        return self.proposals.cache(image)[: self.config.data.validation_proposals].boxes

    def record(self, logged: dict[str, float]) -> WeightsRecord:
        """Returns the record that is stored with the trained weights.

        Args:
            logged: numbers of the last validation in the log.
        """
        number = self.config.data.validation_proposals
        what = f"mAP of {number} proposals a photo, {self.validated_on}"
        first = self.config.frozen_stages + 1
        trained = {1: "all layers", 6: "the classifier"}.get(first, f"stages {first} to 5")
        return WeightsRecord(
            architecture=self.network.architecture.name,
            classes=self.classes,
            background=True,
            preprocessing=self.preprocessing,
            features=self.config.features,
            recipe=self.config.recipe(),
            origin=f"{trained} fine-tuned by incdet on {self.training.name}, from: {self.initial.origin}",
            measured={what: logged["validation_mAP"]} if "validation_mAP" in logged else {},
            licence=f"Apache-2.0; the terms of the photos and of the initial weights apply ({self.initial.licence})",
        )


def _without_objects(truth: GroundTruth) -> GroundTruth:
    none = slice(0, 0)
    return replace(truth, boxes=truth.boxes[none], class_ids=truth.class_ids[none], ignored=truth.ignored[none])


def no_proposals() -> Proposals:
    """Returns the proposals of a photo that cannot be read."""
    return Proposals(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, "U1"))
