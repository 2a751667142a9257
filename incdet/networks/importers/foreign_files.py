"""Weight files of other projects, told apart by their content; nothing in them is executed."""

import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from incdet.errors import WeightsError, reason
from incdet.networks.importers.caffemodel import read_caffemodel
from incdet.networks.weights import read_tensors

_PICKLE_START = b"\x80"


def read_foreign_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a PyTorch state dict or a `.caffemodel`, under their own names.

    Raises:
        WeightsError: the file cannot be read, or holds something else than tensors.
        PackageError: a `.caffemodel`, and protobuf is not installed.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise WeightsError(f"cannot read weights {file}: {reason(error)}; check the path") from None
    if start[8:] == b"{":
        return read_tensors(file)
    if zipfile.is_zipfile(file) or start.startswith(_PICKLE_START):
        return _read_pytorch(file)
    return read_caffemodel(file)


def _read_pytorch(file: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in the restricted unpickler
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"cannot read weights {file}: {first}; expected a state dict of tensors") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError(f"the weights {file} hold something else than tensors; expected a state dict")
    return tensors
