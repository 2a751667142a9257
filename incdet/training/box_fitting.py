"""Regions of annotated photos -> the box regression of a network, by ridge regression as in R-CNN (appendix C)."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from incdet.errors import DataError
from incdet.networks.box_regression import BoxRegressor, RidgeRegression, pooled_cells
from incdet.networks.engines.torch_backend import CPU_ROWS
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import Preprocessing
from incdet.ops.boxes import apply_box_deltas, box_iou, compute_box_deltas
from incdet.pipeline.proposal_cache import image_key
from incdet.regions import RegionCropper
from incdet.runtime.files import load_arrays, save_arrays
from incdet.structures import GroundTruth, Image, Proposals

SMALLEST_IOU = 0.35
"""Regions that overlap an object less are no examples of it (R-CNN: 0.6)."""

PENALTIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
HELD_OUT = 5
"""Every so many-th photo chooses the penalty."""

PIECE = 64
"""Crops at a time: those of all regions of a photo may take gigabytes."""


@dataclass(frozen=True, eq=False)
class BoxExamples:
    """Regions, what the network sees of them, and the boxes of their objects.

    Attributes:
        features: [R, F] float16, see `pooled_cells`.
        boxes: [R, 4] float32, xyxy pixels.
        wanted: [R, 4] float32, the objects' boxes.
        photos: [R] int64, number of the photo.
        sizes: [2, R] int64, its width and its height in pixels.
    """

    features: Tensor
    boxes: np.ndarray
    wanted: np.ndarray
    photos: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: np.ndarray) -> "BoxExamples":
        boxes, wanted, photos = (values[rows] for values in (self.boxes, self.wanted, self.photos))
        return BoxExamples(self.features[torch.from_numpy(rows)], boxes, wanted, photos, self.sizes[:, rows])

    def regression(self) -> RidgeRegression:
        """What these teach, for any penalty."""
        return RidgeRegression(self.features, torch.from_numpy(compute_box_deltas(self.boxes, self.wanted)))

    @torch.inference_mode()
    def overlaps(self, regressor: BoxRegressor | None) -> np.ndarray:
        """Jaccard index [R] with the objects' boxes, after correction or, with None, as proposed."""
        boxes = self.boxes
        if regressor is not None:
            boxes = apply_box_deltas(boxes, regressor.linear(self.features.float()).numpy(), *self.sizes)
        pairs = zip(boxes, self.wanted, strict=True)
        return np.array([box_iou(box[None], wanted[None])[0, 0] for box, wanted in pairs])


class Fit(NamedTuple):
    """A regression, and how it was chosen.

    Attributes:
        regressor: fitted to all examples.
        penalty: the best one.
        scores: penalty -> mean Jaccard index of the regions of photos held out, after correction.
        before, after: [R] Jaccard indices of those regions, as proposed and with the best penalty.
    """

    regressor: BoxRegressor
    penalty: float
    scores: dict[float, float]
    before: np.ndarray
    after: np.ndarray


class RegionFeatures:
    """What a network sees of regions; kept on disk, so that an interrupted fit goes on where it stopped.

    Args:
        compute: crops [B, 3, S, S] on the CPU -> [B, F], such as `box_features`.
        preprocessing: of the crops.
        folder: for this computation only; None keeps nothing.
    """

    def __init__(
        self, compute: Callable[[Tensor], Tensor], preprocessing: Preprocessing, folder: Path | None = None
    ) -> None:
        self.compute, self.preprocessing, self.folder = compute, preprocessing, folder

    def __call__(self, image: Image, boxes: np.ndarray) -> Tensor:
        """Boxes [R, 4] -> [R, F] float16."""
        if self.folder is None:
            return self._compute(image, boxes)
        file = self.folder / f"{image_key(image)}-{hashlib.sha256(boxes.tobytes()).hexdigest()[:16]}.npz"
        arrays = load_arrays(file, "features")
        if arrays is not None:
            return torch.from_numpy(arrays["features"])
        features = self._compute(image, boxes)
        save_arrays(file, features=features.numpy())
        return features

    @torch.inference_mode()
    def _compute(self, image: Image, boxes: np.ndarray) -> Tensor:
        cropper = RegionCropper(image, self.preprocessing, torch.device("cpu"))
        pieces = np.split(boxes, range(PIECE, len(boxes), PIECE))
        return torch.cat([self.compute(cropper.crop(piece)).half() for piece in pieces])


def box_features(network: GoogLeNet) -> Callable[[Tensor], Tensor]:
    """What the regression of boxes learns from, computed by a network in float32 on the CPU; see `pooled_cells`."""

    def compute(crops: Tensor) -> Tensor:
        pieces = torch.split(crops.contiguous(memory_format=torch.channels_last), CPU_ROWS)
        return torch.cat([pooled_cells(network.feature_map(piece)) for piece in pieces])

    return compute


def collect_examples(
    features_of: Callable[[Image, np.ndarray], Tensor],
    photos: Iterable[tuple[Image, GroundTruth, Proposals]],
    per_photo: int,
    seed: int,
) -> BoxExamples:
    """Regions drawn evenly over their Jaccard index with the object that they overlap most.

    Args:
        features_of: photo and boxes [R, 4] -> [R, F] float16; see `RegionFeatures`.
        photos: with their objects and proposals.
        per_photo: regions of each photo at most.
        seed: of the drawing.

    Raises:
        DataError: no proposal overlaps an object.
    """
    generator = np.random.default_rng(seed)
    columns: list[tuple[Tensor, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for number, (image, truth, proposals) in enumerate(photos):
        rows, wanted = _draw(truth.rescaled(image.width, image.height), proposals.boxes, per_photo, generator)
        if not len(rows):
            continue
        boxes = proposals.boxes[rows]
        sizes = np.tile([image.width, image.height], (len(rows), 1))
        columns.append((features_of(image, boxes), boxes, wanted, np.full(len(rows), number), sizes))
    if not columns:
        raise DataError("no proposal overlaps an object in these photos; give more of them, or check the annotations")
    features, *others = zip(*columns, strict=True)
    boxes, wanted, numbers, sizes = (np.concatenate(column) for column in others)
    return BoxExamples(torch.cat(features), boxes, wanted, numbers, sizes.T)


def _draw(
    truth: GroundTruth, boxes: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(rows of the boxes, the objects' boxes [rows, 4]); none that overlaps an ignored object most."""
    iou = box_iou(boxes, truth.boxes) if len(truth) else np.zeros((len(boxes), 1))
    best, overlaps = iou.argmax(axis=1), iou.max(axis=1)
    usable = overlaps >= SMALLEST_IOU
    if len(truth):
        usable &= ~truth.ignored[best]
    candidates = np.flatnonzero(usable)
    if not len(candidates):
        return candidates, truth.boxes[:0]
    wanted = generator.uniform(SMALLEST_IOU, 1, count)
    rows = np.unique([candidates[np.abs(overlaps[candidates] - value).argmin()] for value in wanted])
    return rows, truth.boxes[best[rows]]


def fit_regressor(examples: BoxExamples, penalties: Sequence[float] = PENALTIES) -> Fit:
    """The regression whose penalty serves photos held out best, fitted to all photos.

    Raises:
        DataError: no photo with an object is left to hold out or to learn from.
    """
    held_out = examples.photos % HELD_OUT == 0
    if held_out.all() or not held_out.any():
        raise DataError("too few photos with objects to hold some out; give more of them")
    learnt, judged = examples[np.flatnonzero(~held_out)].regression(), examples[np.flatnonzero(held_out)]
    after = {penalty: judged.overlaps(learnt.fit(penalty)) for penalty in penalties}
    scores = {penalty: float(overlaps.mean()) for penalty, overlaps in after.items()}
    best = max(scores, key=lambda penalty: scores[penalty])
    return Fit(examples.regression().fit(best), best, scores, judged.overlaps(None), after[best])
