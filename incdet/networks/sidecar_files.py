"""Sidecar files of weights, made later than the weights: activation ranges for eight bits, and a box regression.

Each holds a fingerprint of the tensors that it was made for. The fingerprint leaves the weights' record out, so that a
new measurement in the record does not invalidate the sidecar files.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from incdet.errors import WeightsError, reason
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.tensor_checksums import tensor_checksum
from incdet.networks.weights import REGRESSION_KEY, load_tensors, read_tensors
from incdet.networks.weights_origin import activation_ranges_file as activation_ranges_file  # users of either need it
from incdet.networks.weights_origin import box_regressor_file as box_regressor_file
from incdet.runtime.files import atomic_file, write_text

MIN_RANGE, MAX_RANGE = 1e-9, 1e30
"""Smallest and largest end of a range that steps of eight bits can divide in float32."""


def fingerprint(weights: Path) -> str:
    """Computes the SHA-256 of the tensors of a file: their names, types, shapes and bytes.

    Raises:
        WeightsError: the file is no readable safetensors file.
    """
    return tensor_checksum(read_tensors(weights))


def save_activation_ranges(weights: Path, ranges: dict[str, float], measured_on: str) -> Path:
    """Writes the activation ranges of weights beside them.

    Args:
        weights: file of the weights.
        ranges: name of a feature map -> end of its range; see `activation_ranges`.
        measured_on: description of the crops, in words.

    Returns:
        The new file.

    Raises:
        OutputError: the folder cannot be written to.
    """
    content: dict[str, Any] = {"tensors": fingerprint(weights), "measured_on": measured_on, "activation_ranges": ranges}
    content["checksum"] = _checksum_of_ranges(content)
    write_text(activation_ranges_file(weights), json.dumps(content, indent=2) + "\n")
    return activation_ranges_file(weights)


def load_activation_ranges(weights: Path) -> dict[str, float]:
    """Reads the activation ranges of weights: name of a feature map -> end of its range.

    Raises:
        WeightsError: there are none, they are damaged, or they were measured with other weights.
    """
    beside = activation_ranges_file(weights)
    again = f"measure them with incdet weights calibrate {weights}"
    if not beside.exists():
        raise WeightsError(f"the ranges that eight bits stand for in the weights {weights} are not known; {again}")
    again += ", or set scores.precision=float32"
    try:
        stored = json.loads(beside.read_text(encoding="utf-8"))
        ranges = {name: _range_end(name, value) for name, value in stored["activation_ranges"].items()}
        if "checksum" in stored and stored.pop("checksum") != _checksum_of_ranges(stored):
            raise ValueError("its checksum is another one; the file is damaged")
        if stored["tensors"] != fingerprint(weights):
            raise WeightsError(f"{beside} was measured with other weights than {weights}; {again}")
        return ranges
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"cannot read {beside}: {reason(error)}; {again}") from None


def _range_end(name: str, value: Any) -> float:
    """Returns the end of a range.

    Raises:
        ValueError: It is no positive number that float32 can hold.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not MIN_RANGE <= value <= MAX_RANGE:
        raise ValueError(f"the range of '{name}' is {str(value)[:40]}, expected a positive number")
    return float(value)


def _checksum_of_ranges(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def save_box_regressor(weights: Path, regressor: BoxRegressor, fitted: dict[str, Any]) -> Path:
    """Writes the box regression of weights beside them in float16.

    Args:
        weights: file of the weights.
        regressor: the regression.
        fitted: description of the fit: examples, penalty, scores.

    Returns:
        The new file.

    Raises:
        OutputError: the folder cannot be written to.
    """
    tensors = {name: tensor.half().contiguous() for name, tensor in regressor.state_dict().items()}
    # one entry only, because safetensors writes several in an order that differs from process to process
    description = {"tensors": fingerprint(weights), "fitted": fitted, "checksum": tensor_checksum(tensors)}
    metadata = {REGRESSION_KEY: json.dumps(description, sort_keys=True)}
    with atomic_file(box_regressor_file(weights)) as stream:
        stream.write(serialize(tensors, metadata))
    return box_regressor_file(weights)


def load_box_regressor(weights: Path, channels: int) -> BoxRegressor | None:
    """Reads the box regression of weights.

    Args:
        weights: file of the weights.
        channels: number of channels of the network's last feature maps.

    Returns:
        The regression in evaluation mode; None where the weights have none.

    Raises:
        WeightsError: it is damaged, or it was fitted to other weights.
    """
    beside = box_regressor_file(weights)
    if not beside.exists():
        return None
    again = f"fit it with incdet weights fit-boxes {weights}, or delete the file to do without"
    try:
        with safe_open(beside, "pt") as stored:
            description = json.loads((stored.metadata() or {})[REGRESSION_KEY])
        made_for, tensors = description["tensors"], read_tensors(beside)
        if description.get("checksum", tensor_checksum(tensors)) != tensor_checksum(tensors):
            raise ValueError("its checksum is another one; the file is damaged")
        regressor = BoxRegressor(channels)
        load_tensors(regressor, tensors, str(beside))
    except WeightsError as error:
        raise WeightsError(f"{error}; {again}") from None
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"cannot read {beside} as a box regression: {reason(error)}; {again}") from None
    if made_for != fingerprint(weights):
        raise WeightsError(f"{beside} was fitted to other weights than {weights}; {again}")
    return regressor.eval()
