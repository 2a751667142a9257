"""The eight colour spaces of selective search (Uijlings et al. 2013, section 4.1), as uint8 channels.

Conversions are our own, so that proposals do not change with a library's version. Whatever a channel's range, 0..255
stands for it: the segmentation's k and the histograms mean the same in all spaces.
"""

import numpy as np

from incdet.config.sections import ColorSpace
from incdet.runtime.compilation import kernel

_LUMA = np.array([299, 587, 114])
"""Thousandths of red, green and blue: ITU-R BT.601, as MATLAB's rgb2gray."""

_LAB_STEPS = 1 << 14
"""Resolution of the table for Lab's cube root: its error is far below half a step of uint8."""


def convert(pixels: np.ndarray, space: ColorSpace) -> np.ndarray:
    """The channels of a colour space.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        space: "c" is the opponent space with the intensity divided out (two channels); "hue" and "intensity" have one.

    Returns:
        [C, H, W] uint8, C = 1, 2 or 3.

    Raises:
        ValueError: the pixels are of another type or shape.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"convert: expected pixels [H, W, 3] uint8, got {list(pixels.shape)} {pixels.dtype}")
    if space == "rgb":
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if space == "intensity":
        return _intensity(pixels)[None]
    if space == "lab":
        return _lab(pixels, *_LAB_TABLES)
    if space == "hsv":
        return _hsv(pixels)
    if space == "hue":
        return _hsv(pixels)[:1]
    if space == "c":
        return _opponent(pixels)
    chromaticities = _chromaticities(pixels)
    if space == "rgi":
        chromaticities[2] = _intensity(pixels)
    return chromaticities


def _lab_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sRGB byte -> its linear share of X, Y and Z relative to the D65 white, the same, Lab's f over 0..1)."""
    byte = np.arange(256) / 255
    linear = np.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
    white = to_xyz.sum(axis=1, keepdims=True)
    value = np.arange(_LAB_STEPS + 1) / _LAB_STEPS
    curve = np.where(value > (6 / 29) ** 3, np.cbrt(value), value / (3 * (6 / 29) ** 2) + 4 / 29)
    return linear.astype(np.float32), (to_xyz / white).astype(np.float32), curve.astype(np.float32)


_LAB_TABLES = _lab_tables()


@kernel
def _lab(pixels: np.ndarray, linear: np.ndarray, to_xyz: np.ndarray, curve: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    out = np.empty((3, height, width), np.uint8)
    steps = np.float32(len(curve) - 1)
    half = np.float32(0.5)
    for y in range(height):
        for x in range(width):
            red, green, blue = linear[pixels[y, x, 0]], linear[pixels[y, x, 1]], linear[pixels[y, x, 2]]
            fx = curve[int((to_xyz[0, 0] * red + to_xyz[0, 1] * green + to_xyz[0, 2] * blue) * steps + half)]
            fy = curve[int((to_xyz[1, 0] * red + to_xyz[1, 1] * green + to_xyz[1, 2] * blue) * steps + half)]
            fz = curve[int((to_xyz[2, 0] * red + to_xyz[2, 1] * green + to_xyz[2, 2] * blue) * steps + half)]
            out[0, y, x] = int((np.float32(116) * fy - np.float32(16)) * np.float32(2.55) + half)
            a = np.float32(500) * (fx - fy) + np.float32(128.5)
            b = np.float32(200) * (fy - fz) + np.float32(128.5)
            out[1, y, x] = int(min(max(a, np.float32(0)), np.float32(255)))
            out[2, y, x] = int(min(max(b, np.float32(0)), np.float32(255)))
    return out


@kernel
def _hsv(pixels: np.ndarray) -> np.ndarray:
    """Hue as a share of the circle, saturation, value. Hue's ends are red both, as in R-CNN's rgb2hsv."""
    height, width, _ = pixels.shape
    out = np.empty((3, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            red, green, blue = int(pixels[y, x, 0]), int(pixels[y, x, 1]), int(pixels[y, x, 2])
            value = max(red, green, blue)
            chroma = value - min(red, green, blue)
            hue = saturation = 0
            if chroma > 0:
                # sixths of the circle from the strongest channel; whole numbers round alike on every machine
                if value == red:
                    sixths = green - blue if green >= blue else 6 * chroma + green - blue
                elif value == green:
                    sixths = 2 * chroma + blue - red
                else:
                    sixths = 4 * chroma + red - green
                hue = (255 * sixths + 3 * chroma) // (6 * chroma)
                saturation = (510 * chroma + value) // (2 * value)
            out[0, y, x], out[1, y, x], out[2, y, x] = hue, saturation, value
    return out


@kernel
def _chromaticities(pixels: np.ndarray) -> np.ndarray:
    """The shares of red, green and blue in their sum, a third each where the pixel is black."""
    height, width, _ = pixels.shape
    out = np.empty((3, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            total = int(pixels[y, x, 0]) + int(pixels[y, x, 1]) + int(pixels[y, x, 2])
            for channel in range(3):
                out[channel, y, x] = (510 * int(pixels[y, x, channel]) + total) // (2 * total) if total else 85
    return out


@kernel
def _opponent(pixels: np.ndarray) -> np.ndarray:
    """O1/O3 and O2/O3 of the opponent space: what is left of it when the intensity O3 is divided out.

    With the sum S = R + G + B they are sqrt(3/2) (R - G)/S and (R + G - 2B)/(sqrt(2) S); their ranges -1..1 and -2..1
    of the fractions become 0..255. Black is grey.
    """
    height, width, _ = pixels.shape
    out = np.empty((2, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            red, green, blue = int(pixels[y, x, 0]), int(pixels[y, x, 1]), int(pixels[y, x, 2])
            total = red + green + blue
            if total == 0:
                out[0, y, x], out[1, y, x] = 128, 170
            else:
                out[0, y, x] = (255 * (red - green + total) + total) // (2 * total)
                out[1, y, x] = (510 * (red + green - 2 * blue + 2 * total) + 3 * total) // (6 * total)
    return out


def _intensity(pixels: np.ndarray) -> np.ndarray:
    return ((pixels.astype(np.int32) @ _LUMA + 500) // 1000).astype(np.uint8)
