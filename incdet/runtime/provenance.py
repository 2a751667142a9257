"""What made a result: versions, configuration, weights; and whether the installation is whole."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel

import incdet

PACKAGES = ("torch", "torchvision", "openvino", "opencv-contrib-python", "numpy", "numba", "pillow", "safetensors")


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


def installation() -> dict[str, Any]:
    """Versions, devices, shipped weights with what was measured, and the check of OpenCV."""
    import torch

    from incdet.errors import PackageError
    from incdet.networks.engines.selection import openvino_works_on
    from incdet.networks.sidecar_files import ranges_file, regressor_file
    from incdet.networks.weights import load_record, sha256, shipped_weights
    from incdet.runtime.device import choose_device, choose_precision

    device = choose_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    try:
        from incdet.proposers.opencv_engine import segmentation_module

        segmentation_module()
        opencv_engine = "ok"
    except (PackageError, ImportError) as error:
        opencv_engine = str(error)
    weights = {}
    for key, file in shipped_weights().items():
        record = load_record(file)
        weights[key] = {"classes": len(record.classes), "measured": record.measured, "sha256": sha256(file)}
        beside = [other.name for other in (ranges_file(file), regressor_file(file)) if other.exists()]
        weights[key] |= {"origin": record.origin, "licence": record.licence, "file": str(file), "beside": beside}
    engine = "openvino" if openvino_works_on(device) else "torch"
    precision = str(choose_precision("auto", device)).removeprefix("torch.")
    return {
        "versions": versions(),
        "device": {"type": device.type, "name": name, "engine": engine, "precision": precision},
        "opencv_engine": opencv_engine,
        "weights": weights,
    }
