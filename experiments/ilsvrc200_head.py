"""The classifier of 200 classes and background: one linear layer on pooled features, which learns from three sources.

1. Regions of photos with known boxes: object or background, and, with less weight, which class. Few classes have known
   boxes, so learning their names as eagerly as objectness would make everything look like one of them.
2. What the head said of any region before training (distillation), the more the surer the ImageNet classifier sees one
   of the 200 classes. This keeps what 1.2 million photos have taught about classes without a single box.
3. Photos with one known class: the region that looks most like the class is taken for an object of it, and regions far
   from that one for background, with little weight (multiple-instance learning). All regions of photos of none of the
   classes are background.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from ilsvrc200_regions import UNKNOWN, LearningRegions
from torch import Tensor
from torch.nn import functional as F

from incdet.data.ilsvrc_classes import class_of_synset, ilsvrc_classes
from incdet.ops.boxes import box_iou

NUM_CLASSES = len(ilsvrc_classes())
BACKGROUND = NUM_CLASSES
"""Column of background."""

FAR_IOU = 0.2
"""Overlap with the best region of a photo below which another region is taken for background."""


@dataclass(frozen=True)
class HeadConfig:
    """The settings of the training.

    Attributes:
        steps: number of steps.
        learning_rate: Adam's, which falls linearly to 0 in the second half.
        batch_size: number of regions a step, of sources 1 and 2 each.
        photos_per_batch: number of photos a step of source 3.
        distillation: weight of source 2.
        photo_weight: weight of source 3.
        far_weight: weight of the background in photos of a class.
        other_weight: weight of the background in photos of none of the classes.
        naming_weight: weight of the class of an object in source 1, beside that of being an object.
        class_balance: power of a class's frequency by which its objects count less, from 0 to 1.
        ilsvrc_weight: weight of a region of ILSVRC beside one of VOC, whose classes are few.
        decay: weight of the squared distance from the first weights.
        seed: seed of the drawing.
    """

    steps: int = 450
    learning_rate: float = 0.002
    batch_size: int = 1024
    photos_per_batch: int = 64
    distillation: float = 1.0
    photo_weight: float = 1.0
    far_weight: float = 0.15
    other_weight: float = 0.25
    naming_weight: float = 0.3
    class_balance: float = 0.5
    ilsvrc_weight: float = 3.0
    decay: float = 0.0001
    seed: int = 0


class LinearHead(NamedTuple):
    """A linear layer: weight [C, 1024] and bias [C]."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """[R, 1024] -> logits [R, C]."""
        return features @ self.weight.T + self.bias


class _PhotoOfClass(NamedTuple):
    """A photo of source 3: its regions' rows [R] and boxes [R, 4], and its class."""

    rows: np.ndarray
    boxes: np.ndarray
    class_id: int


def synset_matrix(synsets: Sequence[str]) -> Tensor:
    """Returns [S, 200] float32, 1 where a synset belongs to a class."""
    matrix = torch.zeros(len(synsets), NUM_CLASSES)
    class_ids = class_of_synset()
    for row, synset in enumerate(synsets):
        if synset in class_ids:
            matrix[row, class_ids[synset]] = 1
    return matrix


def first_head(imagenet: LinearHead, synsets: Sequence[str]) -> LinearHead:
    """Returns the head before training: the mean of the rows of a class's synsets, and nothing for background.

    Args:
        imagenet: the classifier of S synsets.
        synsets: their WordNet ids.
    """
    matrix = synset_matrix(synsets)
    shares = matrix / matrix.sum(dim=0)
    # a softmax does not notice what is subtracted from all rows, but the row of background, which is 0, does
    weight = shares.T @ imagenet.weight - imagenet.weight.mean(dim=0)
    bias = shares.T @ imagenet.bias - imagenet.bias.mean()
    return LinearHead(
        torch.cat([weight, torch.zeros(1, weight.shape[1])]),
        torch.cat([bias, torch.zeros(1)]),
    )


@torch.no_grad()
def taught_probabilities(
    imagenet: LinearHead, first: LinearHead, synsets: Sequence[str], features: np.ndarray
) -> Tensor:
    """Returns what is distilled: [R, 200] float32, which add up to the probability that a region is of any class.

    That probability is the ImageNet classifier's. How it is shared among the classes is said by the head before
    training, which names more photos right than probabilities of synsets, added up.
    """
    matrix = synset_matrix(synsets)
    results = []
    for batch in torch.split(torch.from_numpy(features).float(), 8192):
        of_any_class = (torch.softmax(imagenet(batch), dim=1) @ matrix).sum(dim=1, keepdim=True)
        results.append(of_any_class * torch.softmax(first(batch)[:, :NUM_CLASSES], dim=1))
    return torch.cat(results)


class HeadTraining:
    """The training of the head.

    Args:
        regions: all regions; those of photos with known boxes have weights.
        is_ilsvrc: [R] bool, whether a region is of ILSVRC's photos with known boxes.
        taught: [R, 200] float32; see `taught_probabilities`.
        first: the head before training.
        config: the settings.
    """

    def __init__(
        self, regions: LearningRegions, is_ilsvrc: np.ndarray, taught: Tensor, first: LinearHead, config: HeadConfig
    ) -> None:
        self.config, self.first, self.taught = config, first, taught
        self.features = torch.from_numpy(regions.features).float()
        self.class_ids = torch.from_numpy(regions.class_ids)
        self.shares = torch.from_numpy(regions.object_shares)
        self.known = np.flatnonzero(regions.weights > 0)
        source_weights = np.where(is_ilsvrc, config.ilsvrc_weight, 1.0).astype(np.float32)
        self.source_weights = torch.from_numpy(source_weights)
        self.class_weights = torch.from_numpy(self._class_weights(regions))
        self.photos = []
        num_photos = len(regions.photo_classes)
        has_known_boxes = np.bincount(regions.photos, weights=regions.weights, minlength=num_photos) > 0
        for number in np.flatnonzero(regions.photo_classes != UNKNOWN):
            rows = np.flatnonzero(regions.photos == number)
            self.photos.append(_PhotoOfClass(rows, regions.boxes[rows], int(regions.photo_classes[number])))
        is_other = (regions.photo_classes == UNKNOWN) & ~has_known_boxes
        self.others = np.flatnonzero(is_other[regions.photos])
        self.generator = np.random.default_rng(config.seed)

    def _class_weights(self, regions: LearningRegions) -> np.ndarray:
        """[200] float32: rare classes count more, and objects as much as before on average."""
        class_ids, shares = regions.class_ids[self.known], regions.object_shares[self.known]
        frequency = np.bincount(class_ids, weights=shares, minlength=NUM_CLASSES) + 1
        weights = (frequency.mean() / frequency) ** self.config.class_balance
        return (weights * shares.sum() / (weights[class_ids] * shares).sum()).astype(np.float32)

    def run(self) -> LinearHead:
        """Trains and returns the head."""
        head = LinearHead(self.first.weight.clone().requires_grad_(), self.first.bias.clone().requires_grad_())
        optimizer = torch.optim.Adam([head.weight, head.bias], lr=self.config.learning_rate)
        for step in range(self.config.steps):
            for group in optimizer.param_groups:
                group["lr"] = self.config.learning_rate * min(1.0, 2 * (1 - step / self.config.steps))
            loss = self._known_loss(head)
            loss = loss + self.config.distillation * self._taught_loss(head)
            loss = loss + self.config.photo_weight * self._photo_loss(head)
            if len(self.others):
                loss = loss + self.config.other_weight * self._other_loss(head)
            loss = loss + self.config.decay * (head.weight - self.first.weight).square().sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return LinearHead(head.weight.detach(), head.bias.detach())

    def _known_loss(self, head: LinearHead) -> Tensor:
        """Cross entropy of regions whose objects are known: object or background, and the class among the 200."""
        rows = torch.from_numpy(self.generator.choice(self.known, self.config.batch_size))
        logs = F.log_softmax(head(self.features[rows]), dim=1)
        class_ids, shares = self.class_ids[rows], self.shares[rows]
        of_object = torch.logsumexp(logs[:, :NUM_CLASSES], dim=1)
        named = logs.gather(1, class_ids[:, None])[:, 0] - of_object
        found = shares * of_object + (1 - shares) * logs[:, BACKGROUND]
        naming = self.config.naming_weight * shares * self.class_weights[class_ids] * named
        return -(self.source_weights[rows] * (found + naming)).mean()

    def _taught_loss(self, head: LinearHead) -> Tensor:
        """Cross entropy with what is distilled, among the 200 classes."""
        rows = torch.from_numpy(self.generator.integers(0, len(self.features), self.config.batch_size))
        logs = F.log_softmax(head(self.features[rows])[:, :NUM_CLASSES], dim=1)
        # the probabilities add up to less than 1 where the classifier sees something else: that is the weight
        return -(self.taught[rows] * logs).sum(dim=1).mean()

    def _photo_loss(self, head: LinearHead) -> Tensor:
        """Cross entropy of the region of a photo that looks most like the photo's class, and of those far from it."""
        drawn = [
            self.photos[number] for number in self.generator.choice(len(self.photos), self.config.photos_per_batch)
        ]
        rows = torch.from_numpy(np.concatenate([photo.rows for photo in drawn]))
        logs = F.log_softmax(head(self.features[rows]), dim=1)
        total, start = logs.new_zeros(()), 0
        for photo in drawn:
            own = logs[start : start + len(photo.rows)]
            start += len(photo.rows)
            best = int(own[:, photo.class_id].argmax())
            total = total - own[best, photo.class_id]
            far = torch.from_numpy(box_iou(photo.boxes[best : best + 1], photo.boxes)[0] < FAR_IOU)
            if far.any():
                total = total - self.config.far_weight * own[far, BACKGROUND].mean()
        return total / len(drawn)

    def _other_loss(self, head: LinearHead) -> Tensor:
        """Cross entropy of regions of photos of none of the classes, all of which are background."""
        rows = torch.from_numpy(self.generator.choice(self.others, self.config.batch_size // 2))
        return -F.log_softmax(head(self.features[rows]), dim=1)[:, BACKGROUND].mean()
