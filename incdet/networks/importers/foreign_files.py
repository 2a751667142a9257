"""Weight files of other projects. Their content decides how they are read; nothing in them is executed."""

import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from incdet.errors import WeightsError, reason
from incdet.networks.importers.caffemodel import read_caffemodel
from incdet.networks.weights import read_tensors

_PICKLE_START = b"\x80"
"""First byte of a pickle, as torch wrote it before version 1.6."""


def read_foreign_tensors(file: Path) -> dict[str, Tensor]:
    """Reads a safetensors file, a PyTorch state dict or a `.caffemodel`.

    Returns:
        Name in the file -> tensor.

    Raises:
        WeightsError: the file cannot be read, or holds something else than tensors.
        PackageError: it is a `.caffemodel`, and protobuf is not installed.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise WeightsError(f"cannot read weights {file}: {reason(error)}; check the path") from None
    # safetensors: eight bytes with the length of the header, then the header, which is JSON
    if start[8:] == b"{":
        return read_tensors(file)
    # torch writes zip archives since version 1.6
    if zipfile.is_zipfile(file) or start.startswith(_PICKLE_START):
        return _read_pytorch(file)
    return read_caffemodel(file)


def _read_pytorch(file: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):
            # `weights_only` refuses everything that could run code
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in the restricted unpickler
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"cannot read weights {file}: {first}; expected a state dict of tensors") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError(f"the weights {file} hold something else than tensors; expected a state dict")
    return tensors
