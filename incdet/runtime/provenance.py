"""What made a result: versions, configuration and weights; and the memory that it took."""

import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import incdet
from incdet.runtime.json_files import json_text

PACKAGES = ("torch", "torchvision", "openvino", "opencv-contrib-python", "numpy", "numba", "pillow", "safetensors")
"""Packages whose versions can change a result."""


RUN_FILE = "run.json"
"""Name of the file that says what made the results in its folder. Folders that have it hold no photos to work on."""


def versions() -> dict[str, str]:
    """Versions of incdet, Python and `PACKAGES`, by name; "missing" for packages that are not installed."""
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
        weights: SHA-256 of every file of weights, by name.
        more: anything else that decides the result, under its own keys.

    Returns:
        Values that JSON can hold, under "versions", "configuration", "weights" and the keys of `more`.
    """
    return {"versions": versions(), "configuration": config.model_dump(mode="json"), "weights": weights, **more}


def is_run_description(stored: Any) -> bool:
    """Whether the content of a JSON file is a description that incdet wrote."""
    return isinstance(stored, dict) and isinstance(stored.get("versions"), dict) and "incdet" in stored["versions"]


def holds_results(folder: Path) -> bool:
    """Whether a folder holds results of incdet, which `run.json` describes; other programs write such files, too."""
    try:
        return is_run_description(json.loads((folder / RUN_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return False


def run_text(description: Mapping[str, Any]) -> str:
    """Returns the text of `run.json`. Keys are sorted, so that equal descriptions give equal texts."""
    return json_text(description, sort_keys=True)


def peak_memory_gigabytes() -> float:
    """Largest memory that this process has held so far, in gigabytes; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return gigabytes_of(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def gigabytes_of(max_resident: int) -> float:
    """Converts a process's `ru_maxrss` to gigabytes.

    Args:
        max_resident: largest resident memory, in bytes on macOS and in kilobytes on other systems.
    """
    return max_resident / (1e9 if sys.platform == "darwin" else 1e6)
