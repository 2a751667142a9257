"""Weights and their record in one safetensors file, which is read without unpickling anything."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from incdet.errors import WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox import MultiBox
from incdet.networks.multibox_description import SharedMultiBoxDescription
from incdet.networks.quantization import dequantize
from incdet.networks.record_files import RECORD_KEY as RECORD_KEY  # users of files of weights need these three
from incdet.networks.record_files import REGRESSION_KEY as REGRESSION_KEY
from incdet.networks.record_files import load_classifier_record, load_multibox_record, unreadable_because
from incdet.networks.record_files import load_record as load_record
from incdet.networks.shared_multibox import SharedMultiBox
from incdet.networks.tensor_checksums import tensor_checksum
from incdet.networks.weights_record import WeightsRecord
from incdet.runtime.files import atomic_file

_MAX_PRIORS = 100_000
"""Largest number of priors that a MultiBox can have."""

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_network(file: Path) -> tuple[GoogLeNet, WeightsRecord]:
    """Loads a network that names classes.

    Returns:
        The network in float32 and in evaluation mode, and its record.

    Raises:
        WeightsError: the file is unreadable or has no record, or its tensors do not fit the network of the record.
    """
    record = load_classifier_record(file)
    tensors = dequantize(read_checked_tensors(file, record), str(file))
    # compared before a network of that size is made: a record may name millions of classes
    rows = tensors["classifier.bias"].shape if "classifier.bias" in tensors else None
    if rows != (record.num_columns,):
        found = "no classifier" if rows is None else f"a classifier of shape {list(rows)}"
        raise WeightsError(f"the weights {file} have {found}, but their record needs {record.num_columns:,} columns")
    # without memory, because weights drawn at random would be replaced at once
    with torch.device("meta"):
        network = GoogLeNet(record.num_columns, architecture=ARCHITECTURES[record.architecture])
        if record.features == "shared":
            # trained with the other layers, and stored with them
            network.box_regressor = BoxRegressor(network.classifier.in_features)
    load_tensors(network, tensors, str(file), assign=True)
    return network.eval(), record


def load_multibox(file: Path) -> tuple[MultiBox, WeightsRecord]:
    """Loads a network that proposes boxes.

    Returns:
        The network in float32 and in evaluation mode, and its record.

    Raises:
        WeightsError: the file is unreadable, has no record or names classes, or its tensors do not fit the network of
            the record.
    """
    record, description = load_multibox_record(file)
    if isinstance(description, SharedMultiBoxDescription):
        raise WeightsError(
            f"the weights {file} propose boxes from feature maps that others share; give weights of a MultiBox on crops"
        )
    tensors = dequantize(read_checked_tensors(file, record), str(file))
    if len(description.priors) > _MAX_PRIORS:
        raise WeightsError(f"the record of {file} names {len(description.priors):,} priors; the file is damaged")
    network = MultiBox.from_description(description, ARCHITECTURES[record.architecture])
    load_tensors(network, tensors, str(file))
    return network.eval(), record


def load_shared_multibox(file: Path) -> tuple[SharedMultiBox, WeightsRecord]:
    """Loads the layers that propose boxes from shared feature maps.

    Returns:
        The layers in float32 and in evaluation mode, and their record.

    Raises:
        WeightsError: the file is unreadable, has no record, is of another kind, or its tensors do not fit the record.
    """
    record, description = load_multibox_record(file)
    if not isinstance(description, SharedMultiBoxDescription):
        raise WeightsError(f"the weights {file} are those of a MultiBox on crops, not on shared feature maps")
    tensors = dequantize(read_checked_tensors(file, record), str(file))
    network = SharedMultiBox(description)
    load_tensors(network, tensors, str(file))
    return network.eval(), record


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Reads all tensors of a safetensors file in the types in which they are stored.

    Raises:
        WeightsError: the file is no readable safetensors file.
    """
    try:
        with safe_open(file, "pt") as stored:
            return {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"cannot read weights {file}: {unreadable_because(file, error)}; expected a safetensors file"
        ) from None


def read_checked_tensors(file: Path, record: WeightsRecord) -> dict[str, Tensor]:
    """Reads the tensors of weights and compares them with the checksum in their record, where it has one.

    Raises:
        WeightsError: the file is no readable safetensors file, or its content has changed since it was written.
    """
    tensors = read_tensors(file)
    if record.checksum is not None and record.checksum != _checksum(tensors, record):
        raise WeightsError(f"the weights {file} are damaged: their checksum is another one; get a whole copy")
    return tensors


def _checksum(tensors: dict[str, Tensor], record: WeightsRecord) -> str:
    # entries that records have had since then count where they say something, so that older checksums still hold
    later = {name for name in ("finder", "other_names", "display_threshold") if not getattr(record, name)}
    rest = record.model_dump(mode="json", exclude={"checksum", *later})
    return tensor_checksum(tensors, json.dumps(rest, sort_keys=True))


def load_tensors(network: torch.nn.Module, tensors: dict[str, Tensor], origin: str, assign: bool = False) -> None:
    """Copies tensors into a network that has exactly these names and shapes.

    Args:
        network: the network, which is changed.
        tensors: name -> floating-point tensor.
        origin: name of the file, for messages.
        assign: whether the tensors become those of the network, instead of being copied into them.

    Raises:
        WeightsError: a tensor is missing, unknown, of another shape or type, or not finite; the message names it.
    """
    wanted = network.state_dict()
    # sorted, so that the first problem is the same on every run
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            raise WeightsError(f"the weights {origin} lack '{name}', which the network needs")
        if name not in wanted:
            raise WeightsError(f"the weights {origin} hold '{name}', which the network does not have")
        expected, got = list(wanted[name].shape), list(tensors[name].shape)
        if expected != got:
            raise WeightsError(f"the weights {origin}: '{name}' has shape {got}, but the network expects {expected}")
        if tensors[name].dtype not in _DTYPES:
            raise WeightsError(
                f"the weights {origin}: '{name}' holds {tensors[name].dtype}; expected float16, float32, or int8 with "
                "scales"
            )
        # in the type in which the network computes: a number of float64 may be none of float32
        if not _all_finite(tensors[name].float()):
            raise WeightsError(f"the weights {origin}: '{name}' holds NaN or infinity in float32; the file is damaged")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=assign)


def _all_finite(values: Tensor) -> bool:
    # a sum is finite only where every number is, and takes a fifth of the time; sums of finite numbers may overflow
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def save_weights(
    file: Path, tensors: dict[str, Tensor], record: WeightsRecord, dtype: torch.dtype | None = None
) -> None:
    """Writes tensors with their record, atomically; equal tensors and records give equal bytes.

    Args:
        file: place of the new file.
        tensors: name -> tensor.
        record: their record.
        dtype: type in which all tensors are stored; None keeps each one's own.

    Raises:
        OutputError: the folder cannot be written to.
    """
    # sorted, because the order of the tensors decides the order of the bytes
    stored = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in sorted(tensors.items())}
    record = record.model_copy(update={"checksum": _checksum(stored, record)})
    metadata = {RECORD_KEY: json.dumps(record.model_dump(mode="json"), sort_keys=True)}
    with atomic_file(file) as stream:
        stream.write(serialize(stored, metadata))
