"""Training a region classifier on shared features: photos are the samples, regions are pooled (Fast R-CNN)."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from incdet.config.sections import DetectionsConfig, ScoresConfig
from incdet.detections import Detections
from incdet.errors import DataError
from incdet.images import read_image
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.ensemble import Member
from incdet.networks.googlenet import GoogLeNet
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.structures import Image
from incdet.training.loop import Task
from incdet.training.region_losses import RegionLessons
from incdet.training.region_training import VALIDATION_BATCH, RegionTraining
from incdet.training.samples.balanced_order import photo_weights
from incdet.training.samples.batch_loading import choose_num_workers
from incdet.training.samples.photo_batches import LearntPhotos, PhotoBatch, photo_batches, photo_tensor
from incdet.training.samples.photo_region_sampler import PhotoRegionSampler
from incdet.training.samples.photo_store import MemoryStore
from incdet.training.samples.region_sampler import balanced_class_weights
from incdet.training.shared_network import ScaledBoxRegressor, SharedNetwork, plain_network


class SharedRegionsTask(RegionTraining):
    """The training of a region classifier on shared features as a task of the training loop.

    The arguments are those of `RegionTraining`.

    Raises:
        ConfigurationError: the context leaves too little room for the region.
        DataError: no photo is left to train on, or the photos have no objects or no regions.
        ImageError: a photo without known proposals cannot be read.
    """

    def prepare_samples(self, start: GoogLeNet) -> None:
        """Makes the box regressor and what draws photos and regions; see `RegionTraining.prepare_samples`."""
        config = self.config
        self.network.box_regressor = _start_regressor(start, config.seed).to(self.device)
        truths = self.training.ground_truths
        object_classes = np.concatenate([truth.class_ids[~truth.ignored] for truth in truths])
        class_weights = balanced_class_weights(object_classes, len(self.classes), config.sampling.class_balance)
        self.sampler = PhotoRegionSampler(class_weights, config.sampling, config.shared, self.preprocessing)
        self.photos = LearntPhotos(
            self.training,
            self.num_exhaustive,
            photo_weights(truths, class_weights) * self._has_regions(),
            self.proposals,
            self.preprocessing,
        )
        gigabytes = config.memory_gigabytes / self.processes.count_here
        self._cached_features = MemoryStore(self._features, _num_bytes, gigabytes)
        if config.shared.cache_features:
            self.reporter.note(
                "feature maps of a photo are computed when it is first drawn, and kept in memory: the first steps take "
                "longer than the others"
            )

    def _has_regions(self) -> np.ndarray:
        """[N] bool: Whether a photo has any region that can be drawn.

        Raises:
            DataError: the photos have no objects or no backgrounds.
        """
        found, num_objects, num_backgrounds = [], 0, 0
        for index, (truth, proposals) in enumerate(self.annotated_proposals()):
            is_exhaustive = index < self.num_exhaustive and truth.num_impossible == 0
            pool = self.sampler.usable(truth, proposals, is_exhaustive)
            found.append(len(pool.boxes) > 0)
            num_objects += int((pool.objects >= 0).sum())
            num_backgrounds += int((pool.objects < 0).sum())
        if num_objects == 0 or num_backgrounds == 0:
            raise DataError(
                f"cannot train on {num_objects} regions with an object and {num_backgrounds} without; both are "
                "needed, so check the annotations and the class names"
            )
        return np.array(found)

    def task(self) -> Task[PhotoBatch]:
        """Returns the description of the training for the loop; an epoch has as many photos as there are."""
        config = self.config
        batches = photo_batches(
            self.photos,
            self.sampler,
            config.optimization.batch_size,
            config.seed,
            choose_num_workers(config.workers, self.device, self.processes),
            config.memory_gigabytes,
            self.processes,
            self.warn,
            config.max_bad_share,
        )
        # only a last layer that starts anew learns faster
        new_layers = () if self.keeps_classifier else ("googlenet.classifier.",)
        network = SharedNetwork(self.network)
        epoch_size, num_validation = len(self.training), len(self.validation)
        return Task(network, new_layers, epoch_size, batches, self.losses, self.validate, plain_state, num_validation)

    def losses(self, network: nn.Module, batch: PhotoBatch) -> dict[str, Tensor]:
        """Returns the losses [B] of the photos, the means over their regions: cross entropy and box deltas."""
        self.keep_frozen_statistics()
        shared = self.config.shared
        lessons = RegionLessons(
            batch.targets.to(self.device, non_blocking=True),
            batch.box_deltas.to(self.device, non_blocking=True),
            batch.teaches_box.to(self.device, non_blocking=True),
            shared.box_loss_weight,
        )
        choose = None if shared.hard_regions is None else partial(lessons.hardest, number=shared.hard_regions)
        regions = batch.regions.to(self.device, non_blocking=True)
        with self.autocast():
            outputs = network(self.inputs(batch), regions, shared.cache_features, choose)
        losses = lessons.chosen(outputs.rows).losses(outputs)
        return {"cross_entropy": losses.cross_entropy.mean(dim=1), "box": losses.box.mean(dim=1)}

    def inputs(self, batch: PhotoBatch) -> list[Tensor]:
        """Returns the photos [1, 3, H, W] on the device or, where they are cached, their feature maps."""
        if self.config.shared.cache_features:
            keys = zip(batch.indices, batch.flipped, batch.photo_sides, strict=True)
            return [self._cached_features(key) for key in keys]
        return [photo.to(self.device, non_blocking=True) for photo in batch.photos]

    @torch.no_grad()
    def _features(self, key: tuple[int, bool, int]) -> Tensor:
        """The feature maps [1, 832, h, w] of the photo of an index, plain or mirrored, at one of its sides."""
        index, is_flipped, photo_side = key
        image = read_image(self.training.image_paths[index])
        photo = photo_tensor(image, photo_side, is_flipped, self.preprocessing)
        with self.autocast():
            return self.network.photo_features(photo.to(self.device))

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the mAP (VOC rules) on the photos kept out of training; a rough guide on a few proposals a photo."""
        assert isinstance(network, SharedNetwork)
        plain = prepare_network(plain_network(network), self.device, self.precision)
        # detection as users run it, with this network as the only member
        scores = ScoresConfig()
        scorer = SharedRegionScorer(
            [Member(plain, TorchBackend(plain), self.preprocessing.context)],
            self.preprocessing,
            self.preprocessing.photo_sides,
            self.device,
            VALIDATION_BATCH,
            scores.rounds,
            scores.round_min_probability,
        )
        return self.measure(lambda image: self._detect(image, scorer))

    def _detect(self, image: Image, scorer: SharedRegionScorer) -> Detections:
        """The detections among the best proposals of a photo."""
        scores = scorer(image, self.validation_boxes(image)).scores
        return select_detections(scores, image, self.classes, DetectionsConfig())


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """Returns the tensors of a trained network under the names that inference knows."""
    assert isinstance(network, SharedNetwork)
    return plain_network(network).state_dict()


def _start_regressor(start: GoogLeNet, seed: int) -> ScaledBoxRegressor:
    """The box regressor of the weights to start from, which serves any classes, or a new one."""
    if start.box_regressor is not None:
        return ScaledBoxRegressor.unfolded(start.box_regressor)
    return ScaledBoxRegressor.drawn(start.classifier.in_features, seed)


def _num_bytes(feature_maps: Tensor) -> int:
    return feature_maps.numel() * feature_maps.element_size()
