"""Training crops of the classifier (paper, section 6): sampled areas, photometric distortions, random interpolation.

Everything random comes from the generator that is passed in, so a crop can be made again from its seed.
"""

import math
from typing import Annotated, Literal, get_args

import cv2
import numpy as np
from pydantic import Field, field_validator

from incdet.config.sections import Section

Interpolation = Literal["bilinear", "area", "nearest", "cubic"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)

_FLAGS = {
    "bilinear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
}

_ATTEMPTS = 10
"""To find a crop of the sampled area and shape that fits into the image; then the largest of the nearest shape is
taken."""

CONTRAST, BRIGHTNESS, COLOR = range(3)

PRINCIPAL_AMOUNTS = np.array([55.46, 4.794, 1.148], np.float32)
PRINCIPAL_COLORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], np.float32
)
"""Amounts in grey levels and directions (columns, RGB) of the principal colours of ImageNet's photos, for the noise of
Krizhevsky et al. 2012, who print none; these are the numbers in common use."""

Share = Annotated[float, Field(gt=0, le=1)]


class DistortionsConfig(Section):
    """How training crops differ from the photos; each at its identity switches that distortion off.

    Attributes:
        area: smallest and largest share of the photo's area, evenly distributed between.
        aspect: narrowest and widest width / height; its logarithm is evenly distributed.
        mirror: probability of a mirror image.
        photometric: contrast, brightness and colour are multiplied by 1 - x to 1 + x, in random order (Howard 2013).
        noise: deviation of the noise along the principal colours, as a share of their amounts.
        interpolations: one of these is drawn for each crop.
    """

    area: tuple[Share, Share] = (0.08, 1.0)
    aspect: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (3 / 4, 4 / 3)
    mirror: float = Field(0.5, ge=0, le=1)
    photometric: float = Field(0.5, ge=0, le=1)
    noise: float = Field(0.1, ge=0)
    interpolations: tuple[Interpolation, ...] = Field(INTERPOLATIONS, min_length=1)

    @field_validator("area", "aspect")
    @classmethod
    def _limits_in_order(cls, limits: tuple[float, float]) -> tuple[float, float]:
        if limits[0] > limits[1]:
            raise ValueError("the first limit must not be above the second")
        return limits


def distorted_crop(
    pixels: np.ndarray, size: int, config: DistortionsConfig, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A training crop of a photo.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        size: of the crop, in pixels.
        config: how much is distorted.
        generator: of everything random.

    Returns:
        The crop [size, size, 3] uint8, and the noise [3] float32 in grey levels: what is to be added to each of its
        pixels, kept apart so that a crop takes a byte per value until it is on the device.
    """
    height, width = pixels.shape[:2]
    crop = resized(pixels, sample_area(width, height, config, generator), size, config, generator)
    if generator.random() < config.mirror:
        crop = cv2.flip(crop, 1)
    return distort_colors(crop, config.photometric, generator), principal_noise(config.noise, generator)


def resized(
    pixels: np.ndarray,
    area: tuple[int, int, int, int],
    size: int,
    config: DistortionsConfig,
    generator: np.random.Generator,
) -> np.ndarray:
    """A part (left, top, right, bottom) of [H, W, 3] uint8 as [size, size, 3], by one of the interpolations."""
    left, top, right, bottom = area
    interpolation = config.interpolations[generator.integers(len(config.interpolations))]
    return cv2.resize(pixels[top:bottom, left:right], (size, size), interpolation=_FLAGS[interpolation])


def sample_area(
    width: int, height: int, config: DistortionsConfig, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """A part of an image of this size, in pixels: left, top, right, bottom, half-open."""
    narrowest, widest = (math.log(aspect) for aspect in config.aspect)
    for _ in range(_ATTEMPTS):
        area = generator.uniform(*config.area) * width * height
        aspect = math.exp(generator.uniform(narrowest, widest))
        across, down = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < across <= width and 0 < down <= height:
            left, top = int(generator.integers(width - across + 1)), int(generator.integers(height - down + 1))
            return left, top, left + across, top + down
    aspect = min(max(width / height, config.aspect[0]), config.aspect[1])
    across, down = min(width, max(round(height * aspect), 1)), min(height, max(round(width / aspect), 1))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def distort_colors(pixels: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Contrast, brightness and colour of [H, W, 3] uint8, changed in random order (Howard 2013)."""
    for kind in generator.permutation(3):
        factor = generator.uniform(1 - strength, 1 + strength)
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        # what stays at any factor: the mean grey, black, or each pixel's own grey
        if kind == CONTRAST:
            pixels = cv2.addWeighted(pixels, factor, pixels, 0, cv2.mean(grey)[0] * (1 - factor))
        elif kind == BRIGHTNESS:
            pixels = cv2.addWeighted(pixels, factor, pixels, 0, 0)
        else:
            pixels = cv2.addWeighted(pixels, factor, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), 1 - factor, 0)
    return pixels


def principal_noise(deviation: float, generator: np.random.Generator) -> np.ndarray:
    """[3] float32: what is added to every pixel of a crop, along the principal colours (Krizhevsky et al. 2012)."""
    amounts = generator.normal(0, 1, 3).astype(np.float32) * np.float32(deviation)
    return PRINCIPAL_COLORS @ (amounts * PRINCIPAL_AMOUNTS)
