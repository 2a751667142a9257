"""Distances between colours as people see them: with usual vision, and with vision that lacks one kind of cones."""

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

VISIONS = ("usual", "protanopia", "deuteranopia", "tritanopia")
"""Kinds of vision. About one man in twelve sees few reds and greens (protan and deutan); tritan vision is rare."""

_MATRICES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Linear RGB as it is -> linear RGB as it looks: Machado, Oliveira and Fernandes 2009, severity 1.0."""


def seen_colors(colors: np.ndarray, vision: str) -> np.ndarray:
    """Returns the colours that usual vision would take for the same ones.

    Args:
        colors: [N, 3] sRGB, 0 to 255.
        vision: one of `VISIONS`.

    Returns:
        [N, 3] float64 sRGB, 0 to 255.
    """
    if vision == "usual":
        return colors.astype(np.float64)
    encoded = colors / 255
    # the matrices hold for light, so sRGB's gamma is taken away and put back
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(_MATRICES[vision]).T, 0, 1)
    return 255 * np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def lab_colors(colors: np.ndarray) -> np.ndarray:
    """Returns colours [N, 3] sRGB, 0 to 255, as CIE L*a*b* [N, 3] under daylight D65."""
    return rgb2lab(colors[None] / 255)[0]


def color_distances(colors: np.ndarray, vision: str = "usual") -> np.ndarray:
    """Returns the CIEDE2000 distance of every pair of colours, [N, N].

    A distance of 1 is just noticeable side by side; of 10 is seen at a glance.

    Args:
        colors: [N, 3] sRGB, 0 to 255.
        vision: one of `VISIONS`.
    """
    lab = lab_colors(seen_colors(colors, vision))
    return np.stack([deltaE_ciede2000(color[None], lab) for color in lab])  # type: ignore[no-untyped-call]


def smallest_distance(colors: np.ndarray, vision: str = "usual", counted: np.ndarray | None = None) -> float:
    """Returns the CIEDE2000 distance of the two most similar colours.

    Args:
        colors: [N, 3] sRGB, 0 to 255.
        vision: one of `VISIONS`.
        counted: [N, N] bool, pairs that count, default all.
    """
    is_pair = np.triu(np.full((len(colors), len(colors)), True) if counted is None else counted, 1)
    return float(color_distances(colors, vision)[is_pair].min())
