"""Fits the box regression of a network to regions of annotated photos, by ridge regression as R-CNN (appendix C)."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from incdet.errors import DataError
from incdet.networks.box_regression import BoxRegressor, pooled_cells
from incdet.networks.engines.torch_backend import CPU_ROWS
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import apply_box_deltas, box_iou, compute_box_deltas
from incdet.pipeline.proposal_cache import image_key
from incdet.regions import RegionCropper
from incdet.runtime.files import load_arrays, save_arrays
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.ridge_regression import RidgeRegression

MIN_EXAMPLE_IOU = 0.35
"""Smallest Jaccard index of a region with an object whose example it is (R-CNN: 0.6)."""

PENALTIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Penalties of the ridge regression, of which the photos held out choose one (R-CNN: 1000, for
the pool5 features of another network)."""

HELD_OUT_INTERVAL = 5
"""Distance between two photos that are held out to choose the penalty."""

MAX_CROPS = 64
"""Largest number of crops at a time: those of all regions of a photo may take gigabytes."""


@dataclass(frozen=True, eq=False)
class BoxExamples:
    """Regions, the network's features of them, and the boxes of their objects.

    Attributes:
        features: [R, F] float16, see `pooled_cells`.
        boxes: [R, 4] float32, xyxy pixels, the regions.
        wanted: [R, 4] float32, xyxy pixels, the boxes of their objects.
        photos: [R] int64, number of the photo.
        sizes: [2, R] int64, width and height of the photo, in pixels.
    """

    features: Tensor
    boxes: np.ndarray
    wanted: np.ndarray
    photos: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: np.ndarray) -> "BoxExamples":
        return BoxExamples(
            self.features[torch.from_numpy(rows)],
            self.boxes[rows],
            self.wanted[rows],
            self.photos[rows],
            self.sizes[:, rows],
        )

    def regression(self) -> RidgeRegression:
        """Returns the regression on these examples, which can be solved for any penalty."""
        return RidgeRegression(self.features, torch.from_numpy(compute_box_deltas(self.boxes, self.wanted)))

    @torch.inference_mode()
    def overlaps(self, regressor: BoxRegressor | None) -> np.ndarray:
        """Returns the Jaccard indices [R] of regions and objects.

        Args:
            regressor: the regression whose box deltas move the regions; None leaves them as proposed.
        """
        boxes = self.boxes
        if regressor is not None:
            boxes = apply_box_deltas(boxes, regressor.linear(self.features.float()).numpy(), *self.sizes)
        # every region is compared with its own object only
        return np.array([box_iou(boxes[[row]], self.wanted[[row]])[0, 0] for row in range(len(boxes))])


class Fit(NamedTuple):
    """A regression, and the measurements that chose it.

    Attributes:
        regressor: the regression, fitted to all examples.
        penalty: the best penalty.
        scores: penalty -> mean Jaccard index of the regions of photos held out, after their box deltas.
        before: [R] float64, Jaccard indices of those regions as proposed.
        after: [R] float64, Jaccard indices of those regions with the best penalty.
    """

    regressor: BoxRegressor
    penalty: float
    scores: dict[float, float]
    before: np.ndarray
    after: np.ndarray


class RegionFeatures:
    """A network's features of regions, kept on disk, so that an interrupted fit goes on where it stopped.

    Args:
        compute: function from crops [B, 3, S, S] on the CPU to features [B, F], such as `box_features`.
        preprocessing: size, context and colours of the crops.
        folder: folder of the features, which no other computation uses; None keeps nothing.
    """

    def __init__(
        self, compute: Callable[[Tensor], Tensor], preprocessing: Preprocessing, folder: Path | None = None
    ) -> None:
        self.compute, self.preprocessing, self.folder = compute, preprocessing, folder

    def __call__(self, image: Image, boxes: np.ndarray) -> Tensor:
        """Returns the features [R, F] float16 of boxes [R, 4] float32, xyxy pixels of the image."""
        if self.folder is None:
            return self._compute(image, boxes)
        # named by content: another photo or other boxes have another file
        file = self.folder / f"{image_key(image)}-{hashlib.sha256(boxes.tobytes()).hexdigest()[:16]}.npz"
        arrays = load_arrays(file, "features")
        # a file that is well-formed and wrong counts as damaged, too
        known = None if arrays is None else arrays["features"]
        if known is not None and known.dtype == np.float16 and known.ndim == 2 and len(known) == len(boxes):
            return torch.from_numpy(known)
        features = self._compute(image, boxes)
        save_arrays(file, features=features.numpy())
        return features

    @torch.inference_mode()
    def _compute(self, image: Image, boxes: np.ndarray) -> Tensor:
        cropper = RegionCropper(image, self.preprocessing, torch.device("cpu"))
        pieces = np.split(boxes, range(MAX_CROPS, len(boxes), MAX_CROPS))
        # half precision is enough for the regression and halves the file
        return torch.cat([self.compute(cropper.crop(piece)).half() for piece in pieces])


def box_features(network: GoogLeNet) -> Callable[[Tensor], Tensor]:
    """Returns the function that computes the features of crops in float32 on the CPU; see `pooled_cells`."""

    def compute(crops: Tensor) -> Tensor:
        pieces = torch.split(crops.contiguous(memory_format=torch.channels_last), CPU_ROWS)
        return torch.cat([pooled_cells(network.last_feature_maps(piece)) for piece in pieces])

    return compute


def collect_examples(
    features_of: Callable[[Image, np.ndarray], Tensor],
    photos: Iterable[tuple[Image, GroundTruth, Proposals]],
    per_photo: int,
    seed: int,
) -> BoxExamples:
    """Draws regions evenly over their Jaccard index with the object that they overlap most.

    Args:
        features_of: function from a photo and boxes [R, 4] to features [R, F] float16; see `RegionFeatures`.
        photos: the photos, their objects and their proposals.
        per_photo: largest number of regions of a photo.
        seed: seed of the drawing.

    Raises:
        DataError: no proposal overlaps an object.
    """
    generator = np.random.default_rng(seed)
    examples: list[BoxExamples] = []
    for number, (image, truth, proposals) in enumerate(photos):
        rows, wanted = _draw(truth, proposals.boxes, per_photo, generator)
        if not len(rows):
            continue
        boxes = proposals.boxes[rows]
        sizes = np.tile([[image.width], [image.height]], len(rows))
        examples.append(BoxExamples(features_of(image, boxes), boxes, wanted, np.full(len(rows), number), sizes))
    if not examples:
        raise DataError("no proposal overlaps an object in these photos; give more of them, or check the annotations")
    return BoxExamples(
        torch.cat([photo.features for photo in examples]),
        np.concatenate([photo.boxes for photo in examples]),
        np.concatenate([photo.wanted for photo in examples]),
        np.concatenate([photo.photos for photo in examples]),
        np.concatenate([photo.sizes for photo in examples], axis=1),
    )


def _draw(
    truth: GroundTruth, boxes: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws regions of one photo.

    Args:
        truth: the objects, in pixels of the photo.
        boxes: [N, 4] float32, the proposals.
        count: largest number of regions.
        generator: source of the drawing.

    Returns:
        Rows [R] of the boxes and the boxes of their objects [R, 4]; no region that overlaps an ignored object most.
    """
    iou = box_iou(boxes, truth.boxes) if len(truth) else np.zeros((len(boxes), 1))
    best, overlaps = iou.argmax(axis=1), iou.max(axis=1)
    usable = overlaps >= MIN_EXAMPLE_IOU
    if len(truth):
        usable &= ~truth.ignored[best]
    candidates = np.flatnonzero(usable)
    if not len(candidates):
        return candidates, truth.boxes[:0]
    # for Jaccard indices drawn evenly, the region whose own is nearest; most proposals are loose, and would prevail
    wanted = generator.uniform(MIN_EXAMPLE_IOU, 1, count)
    rows = np.unique([candidates[np.abs(overlaps[candidates] - value).argmin()] for value in wanted])
    return rows, truth.boxes[best[rows]]


def fit_regressor(examples: BoxExamples, penalties: Sequence[float] = PENALTIES) -> Fit:
    """Fits the regression with the penalty that serves photos held out best.

    Args:
        examples: regions of several photos.
        penalties: penalties to choose from.

    Raises:
        DataError: no photo with an object is left to hold out or to learn from.
    """
    held_out = examples.photos % HELD_OUT_INTERVAL == 0
    if held_out.all() or not held_out.any():
        raise DataError("too few photos with objects to hold some out; give more of them")
    # the penalty is chosen on photos held out, then all photos teach the regression that is returned
    learnt, judged = examples[np.flatnonzero(~held_out)].regression(), examples[np.flatnonzero(held_out)]
    overlaps_by_penalty = {penalty: judged.overlaps(learnt.fit(penalty)) for penalty in penalties}
    scores = {penalty: float(overlaps.mean()) for penalty, overlaps in overlaps_by_penalty.items()}
    best = max(scores, key=lambda penalty: scores[penalty])
    return Fit(examples.regression().fit(best), best, scores, judged.overlaps(None), overlaps_by_penalty[best])
