"""Training samples of MultiBox: crops of photos at many scales, resized to squares, with the objects in them."""

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np

from incdet.config.sections import Section, Unit
from incdet.ops.boxes import box_areas, clip_boxes, flip_boxes
from incdet.structures import GroundTruth, Image
from incdet.training.samples.distortions import (
    Area,
    DistortionsConfig,
    distort_colors,
    principal_noise,
    resize_area,
    sample_area,
)


class BoxSamplingConfig(Section):
    """The crops that MultiBox learns from.

    Attributes:
        whole_photo_share: share of samples that show the whole photo, resized to a square as in inference; the others
            show a crop of it.
        min_visible_share: smallest share of an object's area that a crop shows where the object counts; its centre
            must be visible, too.
        distortions: areas and shapes of the crops, mirroring, colours.
    """

    old_names: ClassVar[Mapping[str, str]] = {"whole_share": "whole_photo_share", "visible_share": "min_visible_share"}

    whole_photo_share: Unit = 0.5
    min_visible_share: Unit = 0.5
    distortions: DistortionsConfig = DistortionsConfig(area=(0.15, 1.0), interpolations=("bilinear", "area"))


def box_sample(
    image: Image, truth: GroundTruth, size: int, config: BoxSamplingConfig, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws a crop of a photo with the objects in it.

    Args:
        image: the photo.
        truth: its objects, in pixels of the photo; ignored ones are left out.
        size: side of the crop, in pixels.
        config: choice and distortion of the crop.
        generator: source of everything random.

    Returns:
        Crop [size, size, 3] uint8, noise [3] float32 in grey levels, and the boxes of the objects [K, 4] float32,
        normalised to [0, 1] of the crop.
    """
    area = (0, 0, image.width, image.height)
    if generator.random() >= config.whole_photo_share:
        area = sample_area(image.width, image.height, config.distortions, generator)
    left, top, right, bottom = area
    boxes = visible_objects(truth.boxes[~truth.ignored], area, config.min_visible_share)
    crop = resize_area(image.pixels, area, size, config.distortions, generator)
    if generator.random() < config.distortions.flip_probability:
        # the boxes are still in pixels of the area, whose width is not that of the crop
        crop, boxes = cv2.flip(crop, 1), flip_boxes(boxes, right - left)
    crop = distort_colors(crop, config.distortions.photometric, generator)
    boxes_unit = boxes / np.array([right - left, bottom - top] * 2, np.float32)
    return crop, principal_noise(config.distortions.noise, generator), boxes_unit


def visible_objects(boxes: np.ndarray, area: Area, min_visible_share: float) -> np.ndarray:
    """Finds the objects that an area of the photo shows well enough.

    Args:
        boxes: [N, 4] float32, objects in pixels of the photo.
        area: left, top, right and bottom of the area, in pixels of the photo.
        min_visible_share: smallest share of an object's area that must lie inside; its centre must lie inside, too.

    Returns:
        [K, 4] float32, in pixels of the area, cut at its borders; boxes without surface are left out.
    """
    left, top, right, bottom = area
    moved = boxes - np.array([left, top, left, top], np.float32)
    clipped = clip_boxes(moved, right - left, bottom - top)
    centres = (moved[:, :2] + moved[:, 2:]) / 2
    centre_is_inside = ((centres >= 0) & (centres < [right - left, bottom - top])).all(axis=1)
    visible = box_areas(clipped)
    # a flat box would pass the comparison of shares, because none of nothing is enough
    is_visible = (visible > 0) & (visible >= min_visible_share * box_areas(boxes))
    return clipped[centre_is_inside & is_visible]
