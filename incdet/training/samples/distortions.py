"""Training crops of the classifier (paper, section 6): sampled areas, photometric distortions, random interpolation.

Everything random comes from the generator that the caller passes in, so a crop can be made again from its seed.
"""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

import cv2
import numpy as np
from pydantic import Field, field_validator

from incdet.config.sections import Section

Interpolation = Literal["bilinear", "area", "nearest", "cubic"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)

Area = tuple[int, int, int, int]
"""A part of an image: left, top, right and bottom in pixels, half-open."""

_FLAGS = {
    "bilinear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
}

MAX_AREA_ATTEMPTS = 10
"""Number of areas that are drawn until one fits into the image; if none does, the largest area of the nearest shape is
taken."""

CONTRAST, BRIGHTNESS, COLOR = range(3)

PRINCIPAL_AMOUNTS = np.array([55.46, 4.794, 1.148], np.float32)
PRINCIPAL_COLORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], np.float32
)
"""Amounts in grey levels and directions (columns, RGB) of the principal colours of ImageNet's photos, for the noise of
Krizhevsky et al. 2012. The paper prints no values; these are the numbers in common use."""

Share = Annotated[float, Field(gt=0, le=1)]


class DistortionsConfig(Section):
    """The distortions of training crops; each value at its identity switches that distortion off.

    Attributes:
        area: smallest and largest share of the photo's area that a crop shows; evenly distributed.
        aspect: smallest and largest width / height of the shown area; the logarithm is evenly distributed.
        flip_probability: probability that a crop is mirrored.
        photometric: strength x of the changes of colour: contrast, brightness and colour are multiplied by a factor
            from 1 - x to 1 + x each, in random order (Howard 2013).
        noise: standard deviation of the noise along the principal colours, as a share of their amounts.
        interpolations: methods of resizing, of which one is drawn for each crop.
    """

    old_names: ClassVar[Mapping[str, str]] = {"mirror": "flip_probability"}

    area: tuple[Share, Share] = (0.08, 1.0)
    aspect: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (3 / 4, 4 / 3)
    flip_probability: float = Field(0.5, ge=0, le=1)
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
    """Draws a training crop of a photo.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        size: side of the crop, in pixels.
        config: strength of the distortions.
        generator: source of everything random.

    Returns:
        The crop [size, size, 3] uint8, and noise [3] float32 in grey levels that is to be added to each of its pixels.
        The noise is kept apart, so that a crop takes one byte per value until it is on the device.
    """
    height, width = pixels.shape[:2]
    area = sample_area(width, height, config, generator)
    crop = resize_area(pixels, area, size, config, generator)
    # after resizing, when there are fewer pixels to mirror and to colour
    if generator.random() < config.flip_probability:
        crop = cv2.flip(crop, 1)
    return distort_colors(crop, config.photometric, generator), principal_noise(config.noise, generator)


def resize_area(
    pixels: np.ndarray, area: Area, size: int, config: DistortionsConfig, generator: np.random.Generator
) -> np.ndarray:
    """Resizes an area of [H, W, 3] uint8 to [size, size, 3], by one of the interpolations."""
    left, top, right, bottom = area
    interpolation = config.interpolations[generator.integers(len(config.interpolations))]
    return cv2.resize(pixels[top:bottom, left:right], (size, size), interpolation=_FLAGS[interpolation])


def sample_area(width: int, height: int, config: DistortionsConfig, generator: np.random.Generator) -> Area:
    """Draws the area of an image that a crop shows.

    Args:
        width: width of the image, in pixels.
        height: height of the image, in pixels.
        config: limits of area and shape.
        generator: source of everything random.
    """
    min_log_aspect, max_log_aspect = math.log(config.aspect[0]), math.log(config.aspect[1])
    for _ in range(MAX_AREA_ATTEMPTS):
        num_pixels = generator.uniform(*config.area) * width * height
        # even over the logarithm, so that wide and high shapes are equally likely
        aspect = math.exp(generator.uniform(min_log_aspect, max_log_aspect))
        across, down = round(math.sqrt(num_pixels * aspect)), round(math.sqrt(num_pixels / aspect))
        if 0 < across <= width and 0 < down <= height:
            left, top = int(generator.integers(width - across + 1)), int(generator.integers(height - down + 1))
            return left, top, left + across, top + down
    # a strip: the largest area in its middle whose shape is allowed
    aspect = min(max(width / height, config.aspect[0]), config.aspect[1])
    across, down = min(width, max(round(height * aspect), 1)), min(height, max(round(width / aspect), 1))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def distort_colors(pixels: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Changes contrast, brightness and colour of [H, W, 3] uint8, in random order (Howard 2013)."""
    for kind in generator.permutation(3):
        factor = generator.uniform(1 - strength, 1 + strength)
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        # each mixes the pixels with something that stays at any factor: the mean grey, black, or each pixel's own grey
        if kind == CONTRAST:
            pixels = cv2.addWeighted(pixels, factor, pixels, 0, cv2.mean(grey)[0] * (1 - factor))
        elif kind == BRIGHTNESS:
            pixels = cv2.addWeighted(pixels, factor, pixels, 0, 0)
        else:
            pixels = cv2.addWeighted(pixels, factor, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), 1 - factor, 0)
    return pixels


def principal_noise(deviation: float, generator: np.random.Generator) -> np.ndarray:
    """Draws noise along the principal colours (Krizhevsky et al. 2012).

    Args:
        deviation: standard deviation, as a share of the principal colours' amounts.
        generator: source of the noise.

    Returns:
        [3] float32, grey levels that are added to every pixel of a crop.
    """
    amounts = generator.normal(0, 1, 3).astype(np.float32) * np.float32(deviation)
    return PRINCIPAL_COLORS @ (amounts * PRINCIPAL_AMOUNTS)
