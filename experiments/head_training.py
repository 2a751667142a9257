"""Trains variants of the head on cached feature maps, all alike, and detects with them."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from head_variants import HeadAnswers, PhotoMaps, RegionHead, photo_maps, prepare_head
from torch import Tensor

from incdet.config.sections import DetectionsConfig
from incdet.detections import Detections
from incdet.images import read_image
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import apply_box_deltas
from incdet.ops.photo_scaling import scaled_size
from incdet.ops.region_pooling import regions_in_cells
from incdet.pipeline.detection_selection import select_detections
from incdet.structures import Image, RegionScores
from incdet.training.averaging import ParameterAverage, averaged_network
from incdet.training.optimization import LearningRate, parameter_groups
from incdet.training.region_losses import RegionLessons, RegionLosses
from incdet.training.samples.photo_batches import PhotoBatch, photo_tensor
from incdet.training.samples.photo_store import MemoryStore
from incdet.training.shared_network import DELTA_SCALE, RegionOutputs
from incdet.training.shared_region_task import SharedRegionsTask

REGIONS_AT_A_TIME = 64
"""Number of regions that are pooled and judged together in detection."""

LAST_STEPS = 0.2
"""Share of the steps, the last ones, whose mean loss is reported."""

SEEDS_APART = 1_000_003
"""Factor of the training's seed in the seed of the dropout, so that the steps of two trainings share no masks."""

MapsOf = Callable[[Path], PhotoMaps]
"""Photo file -> its feature maps."""


class TrainedHead(NamedTuple):
    """A head after its training.

    Attributes:
        head: the mean of the heads of the last steps.
        loss: mean loss of the last steps, classes and box deltas together.
    """

    head: RegionHead
    loss: float


def cached_maps(task: SharedRegionsTask, with_early: bool) -> MapsOf:
    """Returns what gives the feature maps of photos, and keeps them in memory up to the limit of the training.

    Args:
        task: the training, whose network has one photo side.
        with_early: whether the feature maps after module 3b are kept, too.
    """
    network = prepare_head(RegionHead(task.network), task.precision).googlenet
    (photo_side,) = task.preprocessing.photo_sides

    def compute(path: Path) -> PhotoMaps:
        photo = photo_tensor(read_image(path), photo_side, False, task.preprocessing)
        return photo_maps(network, photo.to(task.precision), with_early)

    return MemoryStore(compute, lambda maps: maps.num_bytes, task.config.memory_gigabytes)


def early_scale(maps: Iterable[PhotoMaps]) -> float:
    """Returns the factor that brings the feature maps after module 3b to the root mean square of those after stage 4.

    Args:
        maps: the feature maps of some photos.
    """
    squares = np.zeros(2)
    for each in maps:
        assert each.early is not None
        squares += [each.last.float().square().mean().item(), each.early.float().square().mean().item()]
    return float(np.sqrt(squares[0] / squares[1]))


def train_head(
    head: RegionHead,
    task: SharedRegionsTask,
    maps_of: MapsOf,
    progress: Callable[[int], None] = lambda _: None,
) -> TrainedHead:
    """Trains a head as the training loop does; photos, regions, order and dropout depend on seed and step alone.

    Args:
        head: the head, which is changed.
        task: gives the photos and regions of every step, and the settings.
        maps_of: gives the feature maps of a photo.
        progress: function that is called with the number of steps done.
    """
    config = task.config.optimization
    rate = LearningRate(config, len(task.training) / config.batch_size)
    average = ParameterAverage(head, config.average_decay)
    groups = parameter_groups(head, (), config)
    optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    head.train()
    losses = []
    for step, batch in enumerate(task.task().batches(range(rate.steps))):
        for group in optimizer.param_groups:
            group["lr"] = rate(step) * group["factor"]
        loss = _batch_loss(head, task, maps_of, batch, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), config.gradient_limit)
        optimizer.step()
        average.update(head, step)
        losses.append(loss.item())
        progress(step + 1)
    num_last = max(round(len(losses) * LAST_STEPS), 1)
    return TrainedHead(cast(RegionHead, averaged_network(head, average)), float(np.mean(losses[-num_last:])))


def _batch_loss(head: RegionHead, task: SharedRegionsTask, maps_of: MapsOf, batch: PhotoBatch, step: int) -> Tensor:
    """The mean loss of the photos of a step."""
    terms = []
    for position, index in enumerate(batch.indices):
        # a variant draws more than the control, so every photo starts from a seed of its own
        torch.manual_seed(task.config.seed * SEEDS_APART + step * len(batch.indices) + position)
        maps = maps_of(task.training.image_paths[index])
        with task.autocast():
            answers = head(maps, batch.regions[position])
        losses = photo_losses(answers, batch, position, task.config.shared.box_loss_weight)
        terms.append(losses.cross_entropy.mean() + losses.box.mean())
    return torch.stack(terms).mean()


def photo_losses(answers: HeadAnswers, batch: PhotoBatch, position: int, box_loss_weight: float) -> RegionLosses:
    """Compares the answers about the regions of one photo with what they teach.

    Args:
        answers: the answers.
        batch: the photos of a step.
        position: number of the photo in the batch.
        box_loss_weight: weight of the loss of the box deltas.
    """
    one = slice(position, position + 1)
    lessons = RegionLessons(batch.targets[one], batch.box_deltas[one], batch.teaches_box[one], box_loss_weight)
    box_deltas = answers.box_deltas  # [R, K, 4]
    if box_deltas.shape[1] > 1:
        # a region teaches the box deltas of its object's class
        classes = batch.targets[position, :, :-1].argmax(dim=1)
        box_deltas = box_deltas[torch.arange(len(classes)), classes][:, None]
    return lessons.losses(RegionOutputs(answers.logits[None], box_deltas[:, 0][None], None))


@torch.no_grad()
def detect_with_head(
    head: RegionHead,
    maps: PhotoMaps,
    image: Image,
    boxes: np.ndarray,
    preprocessing: Preprocessing,
    class_names: tuple[str, ...],
    config: DetectionsConfig,
) -> Detections:
    """Detects in a photo, whose regions are judged once.

    Args:
        head: a head that `prepare_head` returned.
        maps: the photo's feature maps.
        image: the photo.
        boxes: [R, 4] float32, its proposals.
        preprocessing: the photo side, and the context of regions.
        class_names: the C classes.
        config: the selection of detections.
    """
    regions = cells_of(boxes, image, preprocessing)
    pieces = [head(maps, piece) for piece in torch.split(regions, REGIONS_AT_A_TIME)]
    if not pieces:
        pieces = [head(maps, regions)]
    probabilities = torch.cat([piece.logits for piece in pieces]).softmax(dim=1)[:, :-1].numpy()
    box_deltas = torch.cat([piece.box_deltas for piece in pieces])  # [R, K, 4]
    box_deltas = box_deltas * box_deltas.new_tensor(DELTA_SCALE)
    num_sets = box_deltas.shape[1]
    moved = apply_box_deltas(
        np.repeat(boxes, num_sets, axis=0), box_deltas.flatten(0, 1).numpy(), image.width, image.height
    )
    scores = one_box_per_class(moved.reshape(-1, num_sets, 4), probabilities, config.score_threshold)
    return select_detections(scores, image, class_names, config)


def cells_of(boxes: np.ndarray, image: Image, preprocessing: Preprocessing) -> Tensor:
    """Converts boxes [R, 4] in pixels of a photo to regions [R, 4] in cells of its feature maps."""
    (photo_side,) = preprocessing.photo_sides
    width, height = scaled_size(image.width, image.height, photo_side)
    scale = np.array([width / image.width, height / image.height], np.float32)
    return torch.from_numpy(regions_in_cells(boxes, scale, preprocessing.context, preprocessing.size))


def one_box_per_class(boxes: np.ndarray, probabilities: np.ndarray, score_threshold: float) -> RegionScores:
    """Brings regions whose classes have boxes of their own into the form in which a region has one box.

    Args:
        boxes: [R, K, 4] float32; K is 1 where all classes share the box, else C.
        probabilities: [R, C] float32.
        score_threshold: lowest probability of a detection.

    Returns:
        The regions as they are or, with K boxes, one row for each probability above the threshold, which has no other.
    """
    if boxes.shape[1] == 1:
        return RegionScores(boxes[:, 0], probabilities)
    regions, classes = np.nonzero(probabilities >= score_threshold)
    alone = np.zeros((len(regions), probabilities.shape[1]), np.float32)
    alone[np.arange(len(regions)), classes] = probabilities[regions, classes]
    return RegionScores(boxes[regions, classes], alone)


@torch.no_grad()
def seconds_per_region(
    heads: Mapping[str, RegionHead], maps: PhotoMaps, regions: Tensor, num_repeats: int = 15
) -> dict[str, float]:
    """Measures the time of pooling and judging a region; the heads take turns, and each has its shortest time.

    Args:
        heads: name -> a head that `prepare_head` returned.
        maps: the feature maps of a photo.
        regions: [R, 4] float32, in cells of the feature maps after stage 4.
        num_repeats: number of turns.
    """
    shortest = dict.fromkeys(heads, float("inf"))
    for _ in range(num_repeats):
        for name, head in heads.items():
            start = time.perf_counter()
            head(maps, regions)
            shortest[name] = min(shortest[name], time.perf_counter() - start)
    return {name: seconds / len(regions) for name, seconds in shortest.items()}
