"""Presets: named sets of settings of a detector, over which configuration files and `--set` win."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

PresetName = Literal["paper", "default", "fast"]


class Preset(NamedTuple):
    """A named set of settings.

    Attributes:
        summary: One phrase that says what the preset does.
        settings: Values by key, sections as mappings; everything else has its default.
    """

    summary: str
    settings: Mapping[str, Any]


PRESETS: dict[PresetName, Preset] = {
    "paper": Preset(
        "the published system: six networks see a crop of every region; no cascade, no box deltas, no voting, "
        "scores as the networks give them",
        {
            # the paper does not say that MultiBox sees anything but the whole photo
            "proposals": {"multibox": {"weights": "multibox-voc", "crop_sides": ()}},
            "scores": {
                "features": "cropped",
                "min_probability": 0.0,
                "half_resolution_min_probability": 0.0,
                "box_deltas": False,
            },
            "detections": {"voting_iou": None, "part_penalty": 0.0, "prominence_exponent": 0.0},
        },
    ),
    "default": Preset(
        "a network on shared features sees every region, six networks see crops of the promising ones, and one more on "
        "shared features names these again and sees the whole photo",
        {},
    ),
    "fast": Preset(
        "one network on shared features sees every region, in eight bits where that is possible",
        {
            "scores": {"features": "shared", "precision": "fastest"},
            # of what one network gives a score of 0.45 to 0.55, most is wrong
            "detections": {"display_threshold": 0.55},
        },
    ),
}
"""The presets, from the slowest to the fastest. Keys and values are those of `incdet.config.sections.Config`."""
