"""What a server tells about itself: networks, classes with their colours, limits. No path of its disk is in it."""

from pathlib import Path
from typing import Any, get_args

import skimage.data

import incdet
from incdet.ops.class_colors import Color, class_mark, text_color
from incdet.web.request_options import DetectionsFormat
from incdet.web.server_setup import ServerSetup

SAMPLES = ("chelsea.png", "astronaut.png", "motorcycle_left.png", "coffee.png")
"""Photos that scikit-image brings, for the first click."""


def sample_files() -> dict[str, Path]:
    """Returns the files of the sample photos that are there, by name."""
    folder = Path(skimage.data.__file__).parent
    return {name: folder / name for name in SAMPLES if (folder / name).is_file()}


def describe_server(setup: ServerSetup) -> dict[str, Any]:
    """Returns the content of `/v1/info`; see `InfoResponse`."""
    detector, limits = setup.detector, setup.limits
    config = detector.config
    classes = []
    for class_id, name in enumerate(detector.class_names):
        mark = class_mark(class_id)
        colors = {"color": _hexadecimal(mark.color), "text_color": _hexadecimal(text_color(mark.color))}
        classes.append({"name": name, **colors, "line": mark.line})
    methods, search = config.proposals.methods, config.proposals.selective_search
    return {
        "version": incdet.__version__,
        "networks": detector.scorer.describe(),
        "network_names": list(detector.scorer.network_names),
        "engine": detector.engine.describe(),
        "device": detector.device.type,
        "classes": classes,
        "display_threshold": detector.display_threshold,
        "iou_threshold": config.detections.iou_threshold,
        "methods": list(methods),
        "has_hierarchies": "selective_search" in methods and search.engine == "incdet",
        "can_classify": setup.classifier is not None,
        "formats": list(get_args(DetectionsFormat)),
        "samples": list(sample_files()),
        "limits": {
            "max_bytes": limits.max_bytes,
            "max_megapixels": config.images.max_megapixels,
            "max_photos": limits.max_photos,
            "upload_seconds": limits.upload_seconds,
            "photo_seconds": limits.photo_seconds,
        },
    }


def _hexadecimal(color: Color) -> str:
    return "#" + "".join(f"{value:02x}" for value in color)
