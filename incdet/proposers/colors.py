"""The eight colour spaces of selective search (Uijlings et al. 2013, section 3.2), as uint8 channels.

The conversions are written here, so that proposals do not change with the version of a library. Every channel's range
is mapped to 0..255, so that the segmentation's k and the bins of the histograms mean the same in all spaces.
"""

import numpy as np

from incdet.config.sections import ColorSpace
from incdet.runtime.compilation import kernel

_LUMA = np.array([299, 587, 114])
"""Weights of red, green and blue in the intensity, in thousandths: ITU-R BT.601, as in MATLAB's rgb2gray."""

_LAB_STEPS = 1 << 14
"""Number of steps of the table for Lab's cube root: its error is far below half a step of uint8."""


def convert_colors(pixels: np.ndarray, space: ColorSpace) -> np.ndarray:
    """Converts a photo to a colour space.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        space: name of the colour space; "c" is the opponent space with the intensity divided out.

    Returns:
        [C, H, W] uint8; C is 1 for "hue" and "intensity", 2 for "c" and 3 for all others.

    Raises:
        ValueError: the pixels have another type or shape.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(
            f"cannot convert pixels to the colour space '{space}': expected pixels [H, W, 3] uint8, "
            f"got {list(pixels.shape)} {pixels.dtype}; give an RGB photo"
        )
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
        # rgI is normalised red and green, with the intensity in place of normalised blue
        chromaticities[2] = _intensity(pixels)
    return chromaticities


def _lab_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tables of the conversion from sRGB to CIE Lab, with the white point D65.

    Returns:
        Linear light [256] float32 of each byte of sRGB, the matrix [3, 3] float32 from linear red, green and blue to
        X, Y and Z relative to white, and Lab's curve f at [_LAB_STEPS + 1] float32 places from 0 to 1.
    """
    # the standard's curve: linear near black, a power of 2.4 above
    byte = np.arange(256) / 255
    linear = np.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
    white = to_xyz.sum(axis=1, keepdims=True)
    # f(t) is the cube root, and its tangent below (6/29)^3, where the root is too steep
    value = np.arange(_LAB_STEPS + 1) / _LAB_STEPS
    curve = np.where(value > (6 / 29) ** 3, np.cbrt(value), value / (3 * (6 / 29) ** 2) + 4 / 29)
    return linear.astype(np.float32), (to_xyz / white).astype(np.float32), curve.astype(np.float32)


_LAB_TABLES = _lab_tables()


@kernel
def _lab(pixels: np.ndarray, linear: np.ndarray, to_xyz: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Lightness, a and b of CIE Lab: [H, W, 3] uint8 RGB and the three tables of `_lab_tables` -> [3, H, W] uint8."""
    height, width, _ = pixels.shape
    out = np.empty((3, height, width), np.uint8)
    steps = np.float32(len(curve) - 1)
    half = np.float32(0.5)
    for y in range(height):
        for x in range(width):
            red, green, blue = linear[pixels[y, x, 0]], linear[pixels[y, x, 1]], linear[pixels[y, x, 2]]
            # f of X, Y and Z relative to white, read from the table at the nearest step
            fx = curve[int((to_xyz[0, 0] * red + to_xyz[0, 1] * green + to_xyz[0, 2] * blue) * steps + half)]
            fy = curve[int((to_xyz[1, 0] * red + to_xyz[1, 1] * green + to_xyz[1, 2] * blue) * steps + half)]
            fz = curve[int((to_xyz[2, 0] * red + to_xyz[2, 1] * green + to_xyz[2, 2] * blue) * steps + half)]
            # L = 116 f(Y) - 16 from 0 to 100, a = 500 (f(X) - f(Y)) and b = 200 (f(Y) - f(Z)) around 0: L is scaled to
            # 0..255, a and b are shifted by 128; adding a half makes the conversion to int round to nearest
            out[0, y, x] = int((np.float32(116) * fy - np.float32(16)) * np.float32(2.55) + half)
            a = np.float32(500) * (fx - fy) + np.float32(128.5)
            b = np.float32(200) * (fy - fz) + np.float32(128.5)
            out[1, y, x] = int(min(max(a, np.float32(0)), np.float32(255)))
            out[2, y, x] = int(min(max(b, np.float32(0)), np.float32(255)))
    return out


@kernel
def _hsv(pixels: np.ndarray) -> np.ndarray:
    """Hue, saturation and value: [H, W, 3] uint8 RGB -> [3, H, W] uint8.

    The circle of hues is mapped to 0..255, so that both ends are red, as in MATLAB's rgb2hsv, which R-CNN used.
    """
    height, width, _ = pixels.shape
    out = np.empty((3, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            red, green, blue = int(pixels[y, x, 0]), int(pixels[y, x, 1]), int(pixels[y, x, 2])
            value = max(red, green, blue)
            chroma = value - min(red, green, blue)
            hue = saturation = 0
            if chroma > 0:
                # hue in sixths of the circle, times the chroma: red begins at 0, green at 2, blue at 4. Whole numbers
                # round alike on every machine.
                if value == red:
                    sixths = green - blue if green >= blue else 6 * chroma + green - blue
                elif value == green:
                    sixths = 2 * chroma + blue - red
                else:
                    sixths = 4 * chroma + red - green
                # 255 sixths / (6 chroma), and 255 chroma / value, rounded to nearest
                hue = (255 * sixths + 3 * chroma) // (6 * chroma)
                saturation = (510 * chroma + value) // (2 * value)
            out[0, y, x], out[1, y, x], out[2, y, x] = hue, saturation, value
    return out


@kernel
def _chromaticities(pixels: np.ndarray) -> np.ndarray:
    """Red, green and blue divided by their sum: [H, W, 3] uint8 RGB -> [3, H, W] uint8; black is a third of each."""
    height, width, _ = pixels.shape
    out = np.empty((3, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            total = int(pixels[y, x, 0]) + int(pixels[y, x, 1]) + int(pixels[y, x, 2])
            # 255 c / sum, rounded to nearest
            for channel in range(3):
                out[channel, y, x] = (510 * int(pixels[y, x, channel]) + total) // (2 * total) if total else 85
    return out


@kernel
def _opponent(pixels: np.ndarray) -> np.ndarray:
    """The opponent space with the intensity divided out, C of the paper: [H, W, 3] uint8 RGB -> [2, H, W] uint8.

    The opponent colours are O1 = (R - G) / sqrt(2), O2 = (R + G - 2B) / sqrt(6) and the intensity O3 = S / sqrt(3) with
    the sum S = R + G + B. The channels are O1/O3, which is (R - G) / S times a constant, and O2/O3, which is
    (R + G - 2B) / S times another. The ranges -1..1 and -2..1 of these two fractions become 0..255.
    """
    height, width, _ = pixels.shape
    out = np.empty((2, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            red, green, blue = int(pixels[y, x, 0]), int(pixels[y, x, 1]), int(pixels[y, x, 2])
            total = red + green + blue
            if total == 0:
                # black has no colour, so it gets that of grey: both fractions are 0
                out[0, y, x], out[1, y, x] = 128, 170
            else:
                # 255 (1 + (R - G)/S) / 2 and 255 (2 + (R + G - 2B)/S) / 3, rounded to nearest
                out[0, y, x] = (255 * (red - green + total) + total) // (2 * total)
                out[1, y, x] = (510 * (red + green - 2 * blue + 2 * total) + 3 * total) // (6 * total)
    return out


def _intensity(pixels: np.ndarray) -> np.ndarray:
    """The weighted mean of red, green and blue: [H, W, 3] uint8 RGB -> [H, W] uint8, rounded to nearest."""
    return ((pixels.astype(np.int32) @ _LUMA + 500) // 1000).astype(np.uint8)
