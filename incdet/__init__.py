"""incdet: the detection system that won ILSVRC 2014 ("Going Deeper with Convolutions"), complete and open.

import incdet
found = incdet.detect("photo.jpg")
print(found.labels, found.scores, found.boxes)
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Detections",
    "Detector",
    "GroundTruth",
    "Image",
    "IncdetError",
    "Proposals",
    "detect",
    "read_image",
]

if TYPE_CHECKING:
    from incdet.config.sections import Config
    from incdet.detections import Detections
    from incdet.detector import Detector
    from incdet.errors import IncdetError
    from incdet.images import ImageSource, read_image
    from incdet.structures import GroundTruth, Image, Proposals

_HOMES = {
    "Config": "config.sections",
    "Detections": "detections",
    "Detector": "detector",
    "GroundTruth": "structures",
    "Image": "structures",
    "IncdetError": "errors",
    "Proposals": "structures",
    "read_image": "images",
}


def detect(source: ImageSource, score_threshold: float = 0.75) -> Detections:
    """Detections in one photo with the default weights, which are loaded at the first call.

    Args:
        source: a path, encoded bytes, or an RGB or grey array [H, W(, 3)] uint8.
        score_threshold: lowest probability that is returned, in [0, 1]; below 0.01 there is nothing.

    Raises:
        ImageError: the photo cannot be read.
        ConfigurationError: the threshold is no probability.
    """
    if not 0 <= score_threshold <= 1:
        from incdet.errors import ConfigurationError

        raise ConfigurationError(f"score_threshold is {score_threshold}; expected a probability from 0 to 1")
    found = _default_detector().detect(source)
    return found[found.scores >= score_threshold]


@cache
def _default_detector() -> Detector:
    from incdet.detector import Detector

    return Detector.from_pretrained()


def __getattr__(name: str) -> object:
    """The public names, imported when first used: `import incdet` alone does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'incdet' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"incdet.{_HOMES[name]}"), name)
