"""What is installed here, and whether it is whole: the content of `incdet info`."""

from typing import Any

from incdet.runtime.opencv_wheels import installed_wheels, several_wheels
from incdet.runtime.provenance import versions


def installation() -> dict[str, Any]:
    """Versions, devices, shipped weights with what was measured, and the check of OpenCV."""
    import torch

    from incdet.errors import PackageError
    from incdet.networks.engines.selection import openvino_works_on
    from incdet.networks.shipped_weights import shipped_weights
    from incdet.networks.sidecar_files import activation_ranges_file, box_regressor_file
    from incdet.networks.weights import load_record
    from incdet.runtime.cpu_flags import prefers_eight_bits
    from incdet.runtime.device import choose_device, choose_precision
    from incdet.runtime.file_hashes import sha256

    device = choose_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    try:
        from incdet.proposers.opencv_engine import segmentation_module

        segmentation_module()
        opencv_engine = "ok"
    except (PackageError, ImportError) as error:
        opencv_engine = str(error)
    weights: dict[str, dict[str, Any]] = {}
    for key, file in shipped_weights().items():
        record = load_record(file)
        weights[key] = {
            "classes": len(record.classes),
            "features": record.features,
            "measured": record.measured,
            "sha256": sha256(file),
        }
        beside = [other.name for other in (activation_ranges_file(file), box_regressor_file(file)) if other.exists()]
        weights[key] |= {"origin": record.origin, "licence": record.licence, "file": str(file), "beside": beside}
    engine = "openvino" if openvino_works_on(device) else "torch"
    precision = str(choose_precision("auto", device)).removeprefix("torch.")
    if engine == "openvino" and prefers_eight_bits():
        precision = "int8"
    return {
        "versions": versions(),
        "device": {"type": device.type, "name": name, "engine": engine, "precision": precision},
        "opencv_wheels": installed_wheels(),
        "opencv_engine": opencv_engine if opencv_engine != "ok" else several_wheels() or "ok",
        "weights": weights,
    }
