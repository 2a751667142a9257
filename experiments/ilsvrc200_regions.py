"""Regions of three kinds of photos with their pooled features, from which a classifier of 200 classes learns.

The features are means over the cells of the last feature maps, [1024], computed once by a network whose layers do not
change. Boxes are known in photos of VOC and of ILSVRC's val1. Of other photos only the class of some object is known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from incdet.data.dataset import Dataset
from incdet.data.ilsvrc_classes import VOC_NAMES, class_of_synset, ilsvrc_classes
from incdet.images import read_image
from incdet.networks.box_regression import pooled_cells
from incdet.networks.engines.torch_backend import TorchBackend
from incdet.networks.ensemble import Member
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import box_iou
from incdet.ops.nms import nms
from incdet.pipeline.photo_features import PhotoFeatures, choose_levels
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.proposals import Proposers
from incdet.structures import Image

UNKNOWN = -1
"""Class id of objects that are none of the 200 classes, and of photos with none of them."""

POSITIVE_IOU, FULL_IOU = 0.3, 0.7
"""Overlaps with an object between which the share of the region that is taken for the object rises from 0 to 1."""

MAX_WEAK_REGIONS = 26
"""Number of proposals of a photo without known boxes."""

BATCH = 128
"""Number of regions that are pooled at a time."""


class AnnotatedPhoto(NamedTuple):
    """A photo to learn from.

    Attributes:
        path: the file.
        boxes: [K, 4] float32, xyxy pixels of the objects; none where only the class of the photo is known.
        class_ids: [K] int64 of the objects, or [1] of the photo; `UNKNOWN` is none of the 200 classes.
    """

    path: Path
    boxes: np.ndarray
    class_ids: np.ndarray

    @property
    def has_known_boxes(self) -> bool:
        """Whether all objects are known, of which there may be none, and not the class of the photo alone."""
        return len(self.class_ids) == len(self.boxes)


@dataclass(frozen=True, eq=False)
class LearningRegions:
    """Regions of P photos.

    Attributes:
        features: [R, 1024] float16.
        boxes: [R, 4] float32, xyxy pixels.
        photos: [R] int64, number of the photo.
        class_ids: [R] int64, class of the object that the region overlaps most.
        object_shares: [R] float32, share of the region that is taken for that object.
        weights: [R] float32, 0 for regions of which nothing is known by themselves. Where all objects are known and
            there are none, all regions are background.
        photo_classes: [P] int64, class of a photo without known boxes, `UNKNOWN` where it has none of the 200, and in
            photos with known boxes.
        cells: [B, 9216] float16, features for box deltas of the regions that overlap an object by half or more.
        cell_regions: [B] int64, their rows.
        object_boxes: [B, 4] float32, xyxy pixels of their objects.
    """

    features: np.ndarray
    boxes: np.ndarray
    photos: np.ndarray
    class_ids: np.ndarray
    object_shares: np.ndarray
    weights: np.ndarray
    photo_classes: np.ndarray
    cells: np.ndarray
    cell_regions: np.ndarray
    object_boxes: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["LearningRegions"]) -> "LearningRegions":
        """Returns the regions of several sets of photos as one."""
        columns: dict[str, np.ndarray] = {}
        for field in fields(cls):
            columns[field.name] = np.concatenate([getattr(part, field.name) for part in parts])
        # numbers of photos and rows of regions go on where the part before ends
        num_photos = np.cumsum([0, *(len(part.photo_classes) for part in parts)])
        num_regions = np.cumsum([0, *(len(part.boxes) for part in parts)])
        columns["photos"] = np.concatenate([part.photos + num_photos[k] for k, part in enumerate(parts)])
        columns["cell_regions"] = np.concatenate([part.cell_regions + num_regions[k] for k, part in enumerate(parts)])
        return cls(**columns)


class RegionFeatures:
    """Computes the features of regions as the detector does.

    Args:
        network: the network for shared features.
        preprocessing: its preprocessing.
    """

    def __init__(self, network: GoogLeNet, preprocessing: Preprocessing) -> None:
        self.network, self.preprocessing = network, preprocessing
        self.member = Member(network, TorchBackend(network), preprocessing.context)

    @torch.inference_mode()
    def __call__(self, image: Image, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns features [R, 1024] float16 for the classifier and [R, 9216] float16 for box deltas."""
        sides = self.preprocessing.photo_sides
        device = next(self.network.parameters()).device
        photo = PhotoFeatures(image, [self.member], self.preprocessing, device)
        # the photo side that suits each region, [R]
        own_sides = np.array(sides)[choose_levels(boxes, image, self.preprocessing, sides)]
        order = np.argsort(own_sides, kind="stable")
        channels = self.network.classifier.in_features
        means = np.zeros((len(boxes), channels), np.float16)
        cells = np.zeros((len(boxes), 9 * channels), np.float16)
        for start in range(0, len(boxes), BATCH):
            rows = order[start : start + BATCH]
            maps = self.network.region_features(photo.pool(0, boxes[rows], own_sides[rows])).float()
            means[rows] = maps.mean(dim=(2, 3)).half().numpy()
            cells[rows] = pooled_cells(maps).half().numpy()
        return means, cells


def voc_photos(data: Dataset, max_per_class: int, seed: int) -> list[AnnotatedPhoto]:
    """Draws photos of VOC so that every class is in about as many, rare classes first."""
    ids_by_name = {kind.name: kind.number - 1 for kind in ilsvrc_classes()}
    class_ids = np.array([ids_by_name.get(VOC_NAMES.get(name, ""), UNKNOWN) for name in data.class_names])
    counts = np.bincount(np.concatenate([truth.class_ids for truth in data.ground_truths]), minlength=len(class_ids))
    drawn: set[int] = set()
    num_photos = np.zeros(len(class_ids), np.int64)
    order = np.random.default_rng(seed).permutation(len(data))
    for class_id in np.argsort(counts):
        for index in order.tolist():
            present = np.unique(data.ground_truths[index].class_ids)
            if class_id in present and index not in drawn and num_photos[class_id] < max_per_class:
                drawn.add(index)
                num_photos[present] += 1
    photos = []
    for index in sorted(drawn):
        truth = data.ground_truths[index]
        own_ids = np.where(truth.ignored, UNKNOWN, class_ids[truth.class_ids])
        photos.append(AnnotatedPhoto(data.image_paths[index], truth.boxes, own_ids))
    return photos


def annotated_photos(data: Dataset) -> list[AnnotatedPhoto]:
    """Returns photos of ILSVRC's detection task, all of whose objects are annotated."""
    pairs = zip(data.image_paths, data.ground_truths, strict=True)
    return [AnnotatedPhoto(path, truth.boxes, truth.class_ids) for path, truth in pairs]


def class_folders(root: Path, numbers: Sequence[int]) -> list[AnnotatedPhoto]:
    """Returns some of the photos, by their number, of folders named by the WordNet ids of the 200 classes."""
    photos = []
    for kind in ilsvrc_classes():
        files = sorted((root / kind.wordnet_id).glob("*.jpg"))
        photos += [_photo_of_class(files[number], kind.number - 1) for number in numbers if number < len(files)]
    return photos


def synset_photos(root: Path, keep_others: int) -> list[AnnotatedPhoto]:
    """Returns photos named by the WordNet ids of classification classes.

    Args:
        root: the folder.
        keep_others: distance between two photos that are kept of those that show none of the 200 classes.
    """
    class_ids = class_of_synset()
    photos, num_others = [], 0
    for file in sorted(root.glob("n*.jpg")):
        class_id = class_ids.get(file.stem, UNKNOWN)
        num_others += class_id == UNKNOWN
        if class_id != UNKNOWN or num_others % keep_others == 0:
            photos.append(_photo_of_class(file, class_id))
    return photos


def _photo_of_class(file: Path, class_id: int) -> AnnotatedPhoto:
    return AnnotatedPhoto(file, np.zeros((0, 4), np.float32), np.array([class_id]))


def learning_regions(
    photos: Iterable[AnnotatedPhoto],
    features: RegionFeatures,
    cache: ProposalCache,
    weak: Proposers,
    num_regions: tuple[int, int],
    seed: int,
) -> Iterator[LearningRegions]:
    """Yields the regions of one photo after the other.

    Args:
        photos: the photos.
        features: the network.
        cache: proposals of photos whose objects are annotated.
        weak: proposers for the others, of which few regions are needed.
        num_regions: number of proposals of an annotated photo that do not overlap each other much, and of others that
            overlap an object by half or more.
        seed: seed of the drawing of regions.
    """
    generator = np.random.default_rng(seed)
    for photo in photos:
        image = read_image(photo.path)
        if photo.has_known_boxes:
            proposals = cache(image)
            boxes = _drawn_regions(photo.boxes, proposals.boxes, num_regions, generator)
        else:
            boxes = _weak_regions(image, weak(image).boxes)
        yield _regions_of(photo, boxes, features(image, boxes))


def _drawn_regions(
    objects: np.ndarray, proposals: np.ndarray, num_regions: tuple[int, int], generator: np.random.Generator
) -> np.ndarray:
    """The objects themselves, proposals that do not overlap each other much, and more of those near objects."""
    num_apart, num_near = num_regions
    apart = proposals[nms(proposals, 0.65, num_apart)]
    near = proposals[box_iou(proposals, objects).max(axis=1, initial=0) >= 0.5]
    drawn = near[generator.permutation(len(near))[:num_near]]
    return np.concatenate([objects, apart, drawn]).astype(np.float32)


def _weak_regions(image: Image, proposals: np.ndarray) -> np.ndarray:
    """The whole photo, its middle, and proposals that do not overlap each other much."""
    width, height = image.width, image.height
    whole = [[0, 0, width, height], [0.08 * width, 0.08 * height, 0.92 * width, 0.92 * height]]
    return np.concatenate([whole, proposals[nms(proposals, 0.6, MAX_WEAK_REGIONS)]]).astype(np.float32)


def _regions_of(photo: AnnotatedPhoto, boxes: np.ndarray, outputs: tuple[np.ndarray, np.ndarray]) -> LearningRegions:
    """The regions of one photo with what is known of them."""
    means, cells = outputs
    class_ids, shares = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), np.float32)
    weights = np.zeros(len(boxes), np.float32)
    near, object_boxes = np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    photo_class = UNKNOWN if photo.has_known_boxes else int(photo.class_ids[0])
    if photo.has_known_boxes and not len(photo.boxes):
        weights[:] = 1
    elif photo.has_known_boxes:
        overlaps = box_iou(boxes, photo.boxes)  # [R, K]
        best, overlap = overlaps.argmax(axis=1), overlaps.max(axis=1)
        class_ids = photo.class_ids[best].astype(np.int64)
        shares = np.clip((overlap - POSITIVE_IOU) / (FULL_IOU - POSITIVE_IOU), 0, 1).astype(np.float32)
        # what an object of no class is called is not known
        weights = (~((class_ids == UNKNOWN) & (overlap > 0.2))).astype(np.float32)
        near = np.flatnonzero(overlap >= 0.5)
        object_boxes = photo.boxes[best[near]].astype(np.float32)
    return LearningRegions(
        features=means,
        boxes=boxes,
        photos=np.zeros(len(boxes), np.int64),
        class_ids=np.maximum(class_ids, 0),
        object_shares=shares,
        weights=weights,
        photo_classes=np.array([photo_class]),
        cells=cells[near],
        cell_regions=near,
        object_boxes=object_boxes,
    )
