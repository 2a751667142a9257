"""The last stage: region scores become detections by threshold, per-class NMS and box voting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from incdet.config.sections import DetectionsConfig
from incdet.images import ImageSource, read_image
from incdet.ops.boxes import box_iou, boxes_to_xywh, clip_boxes
from incdet.ops.decimals import shortest_decimals
from incdet.ops.drawing import class_color, draw_labelled_boxes
from incdet.ops.nms import nms
from incdet.structures import (
    Image,
    RegionScores,
    require,
    require_array,
    require_boxes,
    require_class_ids,
    rescaled_boxes,
)


@dataclass(frozen=True, eq=False)
class Detections:
    """Labelled boxes of one image, best score first.

    Attributes:
        image: The image's name.
        width: The image's width in pixels.
        height: The image's height in pixels.
        boxes: [N, 4] float32, xyxy pixels.
        scores: [N] float32 in [0, 1].
        class_ids: [N] int64, index into `class_names`.
        class_names: The C classes, without background.
        seconds: Duration of each stage of the pipeline by its name; empty where it was not measured.
    """

    image: str
    width: int
    height: int
    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_boxes(self, self.boxes)
        require_array(self, "scores", np.float32, len(self.boxes))
        require_array(self, "class_ids", np.int64, len(self.boxes))
        inside = bool(((self.scores >= 0) & (self.scores <= 1 + 1e-6)).all())
        require(inside, self, "scores in [0, 1]", "a value outside")
        require_class_ids(self, self.class_ids, self.class_names)

    def rescaled(self, width: int, height: int) -> Detections:
        """Returns the same detections for the image at another size, such as an annotation states.

        Args:
            width: The new width in pixels; 0 states none and changes nothing.
            height: The new height in pixels; 0 states none and changes nothing.
        """
        if min(width, height) < 1:
            return self
        return replace(
            self,
            width=width,
            height=height,
            boxes=rescaled_boxes(self.boxes, (self.width, self.height), (width, height)),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Any) -> Detections:
        """Returns the detections that a slice, a boolean mask, an integer array or one number selects."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"detection {index} of {len(self)}")
            index = [index]
        boxes, scores, class_ids = self.boxes[index], self.scores[index], self.class_ids[index]
        return replace(self, boxes=boxes, scores=scores, class_ids=class_ids)

    @property
    def labels(self) -> list[str]:
        """The class name of each detection."""
        return [self.class_names[class_id] for class_id in self.class_ids]

    def draw(self, image: ImageSource) -> np.ndarray:
        """Draws boxes, labels and scores into the photo; the best detections lie on top.

        Args:
            image: The photo of these detections.

        Returns:
            [H, W, 3] uint8, RGB; a copy.

        Raises:
            ImageError: The photo cannot be read.
        """
        colors = [class_color(class_id) for class_id in self.class_ids]
        texts = [f"{label} {score:.2f}" for label, score in zip(self.labels, self.scores, strict=True)]
        return draw_labelled_boxes(read_image(image).pixels, self.boxes, colors, texts)

    def to_coco(
        self, image_id: int | str | None = None, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """Returns entries of a COCO results file: image_id, category_id, bbox [x, y, width, height], score.

        Args:
            image_id: Id of the image in the data set, default the image's name.
            category_ids: Id in the data set by class name, default class id + 1.
        """
        boxes_xywh, scores = shortest_decimals(boxes_to_xywh(self.boxes)), shortest_decimals(self.scores)
        return [
            {
                "image_id": self.image if image_id is None else image_id,
                "category_id": category_ids[label] if category_ids else int(class_id) + 1,
                "bbox": bbox,
                "score": score,
            }
            for label, class_id, bbox, score in zip(self.labels, self.class_ids, boxes_xywh, scores, strict=True)
        ]


def select_detections(
    scores: RegionScores, image: Image, class_names: tuple[str, ...], config: DetectionsConfig
) -> Detections:
    """Returns the best boxes of every class that do not overlap each other, best score first.

    The defaults follow R-CNN's ILSVRC submission, with per-class NMS at IoU 0.3. They differ in two points. R-CNN keeps
    at most 100 boxes per image and class, incdet 100 per image. R-CNN takes the boxes as they are, incdet averages each
    with the boxes around it (`voting_iou`).

    Args:
        scores: Class probabilities of the image's regions.
        image: The image.
        class_names: The C classes.
        config: Thresholds and limits.
    """
    wanted = np.array([config.classes is None or name in config.classes for name in class_names], bool)
    # a region may be detected as several classes: one candidate for each probability [R, C] above the threshold
    regions, class_ids = np.nonzero((scores.probabilities >= config.score_threshold) & wanted)
    boxes, values = scores.boxes[regions], scores.probabilities[regions, class_ids]
    # equal scores keep the regions' order
    order = np.argsort(-values, kind="stable")
    boxes, values, class_ids = boxes[order], values[order], class_ids[order].astype(np.int64)
    kept = _suppress_by_class(boxes, class_ids, config.iou_threshold)[: config.max_per_image]
    found = boxes[kept]
    if config.voting_iou is not None:
        found = clip_boxes(_vote(boxes, values, class_ids, kept, config.voting_iou), image.width, image.height)
    return Detections(
        image=image.name,
        width=image.width,
        height=image.height,
        boxes=found,
        # averages of float32 probabilities may exceed 1 by a rounding
        scores=np.minimum(values[kept], 1),
        class_ids=class_ids[kept],
        class_names=class_names,
    )


def _suppress_by_class(boxes: np.ndarray, class_ids: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Returns the rows that survive NMS among the boxes of their class, ascending.

    Args:
        boxes: [N, 4] float32, best score first.
        class_ids: [N] int64.
        iou_threshold: IoU with a better box above which a box is removed.
    """
    survivors = [np.zeros(0, np.int64)]
    for class_id in np.unique(class_ids):
        rows = np.flatnonzero(class_ids == class_id)
        # boxes are float64 here, because in float32 an IoU of exactly 0.3 would exceed the threshold 0.3
        survivors.append(rows[nms(boxes[rows].astype(np.float64), iou_threshold)])
    return np.sort(np.concatenate(survivors))


def _vote(
    boxes: np.ndarray, values: np.ndarray, class_ids: np.ndarray, kept: np.ndarray, voting_iou: float
) -> np.ndarray:
    """Moves each kept box to the mean of the boxes of its class around it, weighted by their probabilities.

    The source is the bounding box voting of Gidaris and Komodakis 2015, "Object detection via a multi-region and
    semantic segmentation-aware CNN model".

    Args:
        boxes: [N, 4] float32, boxes before NMS.
        values: [N] float32, their probabilities.
        class_ids: [N] int64.
        kept: [K] int64, rows that survived NMS.
        voting_iou: Smallest IoU with a kept box that has a vote.

    Returns:
        [K, 4] float32.
    """
    moved = boxes[kept]
    for class_id in np.unique(class_ids[kept]):
        is_class = class_ids[kept] == class_id
        voters = class_ids == class_id
        # [kept of the class, all of the class]
        overlaps = box_iou(moved[is_class], boxes[voters])
        weights = np.where(overlaps >= voting_iou, values[voters].astype(np.float64), 0.0)
        total = weights.sum(axis=1, keepdims=True)
        # a box without area overlaps nothing, not even itself, and stays in its place
        means = weights @ boxes[voters] / np.where(total > 0, total, 1)
        moved[is_class] = np.where(total > 0, means, moved[is_class])
    return moved
