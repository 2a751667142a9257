"""What made a result: versions, configuration, weights; and whether the installation is whole."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel

import incdet
from incdet.runtime.json_files import json_text

PACKAGES = ("torch", "torchvision", "openvino", "opencv-contrib-python", "numpy", "numba", "pillow", "safetensors")


RUN_FILE = "run.json"
"""Name of the file that says what made the results in its folder. Folders that have it hold no photos to work on."""


def versions() -> dict[str, str]:
    """Version of incdet, Python and the packages that decide what is found."""
    found = {"incdet": incdet.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def describe_run(config: BaseModel, weights: dict[str, str], **more: Any) -> dict[str, Any]:
    """The content of `run.json`.

    Args:
        config: the effective configuration.
        weights: file name -> SHA-256.
        more: whatever else decides the result.
    """
    return {"versions": versions(), "configuration": config.model_dump(mode="json"), "weights": weights, **more}


def run_text(description: Mapping[str, Any]) -> str:
    """Returns the text of `run.json`. Keys are sorted, so that equal descriptions give equal texts."""
    return json_text(description, sort_keys=True)


def peak_memory_gigabytes() -> float:
    """The most memory that this process has held so far; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return gigabytes_of(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def gigabytes_of(max_resident: int) -> float:
    """Of a process's `ru_maxrss`, whose unit differs."""
    return max_resident / (1e9 if sys.platform == "darwin" else 1e6)
