"""The records of files of weights, read without their tensors and without torch."""

from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from incdet.errors import WeightsError, reason
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.multibox_description import MultiBoxDescription, SharedMultiBoxDescription
from incdet.networks.weights_record import WeightsRecord
from incdet.runtime.urls import missing_file_hint

RECORD_KEY = "incdet"
"""Key of the record in the file's metadata."""

REGRESSION_KEY = "incdet-boxes"
"""Key in the metadata of a box regression, which is a sidecar file of weights."""


def unreadable_because(file: Path, error: Exception) -> str:
    """Returns what keeps a file of weights from being read."""
    with suppress(OSError):
        if file.stat().st_size == 0:
            return "it is empty (0 bytes)"
    return reason(error)


def load_record(file: Path) -> WeightsRecord:
    """Loads the record alone.

    Raises:
        WeightsError: the file is unreadable, or has no valid record.
    """
    try:
        with safe_open(file, "np") as stored:
            metadata = stored.metadata() or {}
    except (SafetensorError, OSError) as error:
        problem = unreadable_because(file, error)
        raise WeightsError(f"cannot read weights {file}: {problem}; expected a safetensors file") from None
    if REGRESSION_KEY in metadata:
        network = file.name.replace(".boxes", "")
        raise WeightsError(f"{file} is the box regression of a network, which is used by itself; give {network}")
    if RECORD_KEY not in metadata:
        raise WeightsError(
            f"the weights {file} have no incdet record (classes, preprocessing); Caffe's can be imported with "
            "incdet weights import"
        )
    try:
        record = WeightsRecord.model_validate_json(metadata[RECORD_KEY])
    except (ValidationError, ValueError, RecursionError) as error:
        where, what = "its JSON", reason(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            where, what = ".".join(map(str, first["loc"])) or where, first["msg"]
        raise WeightsError(f"the record of {file} is damaged at {where}: {what}; get a whole copy") from None
    if record.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise WeightsError(f"the weights {file} are for '{record.architecture}'; this version knows {known}")
    return record


def load_classifier_record(file: Path) -> WeightsRecord:
    """Loads the record of a network that names classes.

    Raises:
        WeightsError: the file is unreadable, has no valid record, or proposes boxes.
    """
    record = load_record(file)
    if record.multibox is not None:
        raise WeightsError(f"the weights {file} propose boxes (MultiBox), they name no classes; give others")
    return record


def load_region_record(file: Path) -> WeightsRecord:
    """Loads the record of a network that names regions.

    Raises:
        WeightsError: the file is unreadable, has no valid record, proposes boxes, or classifies whole photos.
    """
    record = load_classifier_record(file)
    if not record.background:
        raise WeightsError(
            f"the weights {file} have no background column: they classify whole photos; give those of a region "
            "classifier (incdet train regions)"
        )
    return record


def load_multibox_record(file: Path) -> tuple[WeightsRecord, MultiBoxDescription | SharedMultiBoxDescription]:
    """Loads the record of a network that proposes boxes, and its description there.

    Raises:
        WeightsError: the file is unreadable, has no valid record, or names classes.
    """
    record = load_record(file)
    if record.multibox is None:
        raise WeightsError(f"the weights {file} name classes, they propose no boxes; train with incdet train multibox")
    return record, record.multibox


def require_weights_file(file: Path) -> None:
    """Makes sure that a file of weights of any format can be read; `read_foreign_tensors` then looks into it.

    Raises:
        WeightsError: it is missing or cannot be read.
    """
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        found = missing_file_hint(file, f"{reason(error)}; check the path")
        raise WeightsError(f"cannot read weights {file}: {found}") from None
