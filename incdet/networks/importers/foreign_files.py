"""Weight files of other projects. Their content decides how they are read; nothing in them is executed."""

import pickle
import warnings
from pathlib import Path

import torch
from torch import Tensor

from incdet.errors import WeightsError, reason
from incdet.networks.importers.caffemodel import read_caffemodel
from incdet.networks.weights import read_tensors

_PICKLE_START = b"\x80"
"""First byte of a pickle, as torch wrote it before version 1.6."""

_ZIP_START = b"PK\x03\x04"
"""First bytes of a zip archive, whole or cut off."""


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
    if not start:
        raise WeightsError(f"cannot read weights {file}: it is empty (0 bytes); get a whole copy")
    # safetensors: eight bytes with the length of the header, then the header, which is JSON
    if start[8:] == b"{":
        return read_tensors(file)
    # torch writes zip archives since version 1.6
    if start.startswith((_PICKLE_START, _ZIP_START)):
        return _read_pytorch(file)
    return read_caffemodel(file)


_STATE_DICT = "expected a state dict of tensors, as torch.save(model.state_dict(), file) writes it"


def _read_pytorch(file: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):
            # `weights_only` refuses everything that could run code
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words are advice to programmers, with escape codes in them
        has_objects = any(word in str(error) for word in ("Unsupported", "GLOBAL", "class"))
        found = "holds a whole pickled model or other objects" if has_objects else "is damaged"
        raise WeightsError(f"the file of weights {file} {found}; {_STATE_DICT}") from None
    except Exception:  # a damaged file can fail anywhere in the restricted unpickler
        raise WeightsError(f"cannot read weights {file}: it is damaged, or no file of PyTorch; {_STATE_DICT}") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError(f"the weights {file} hold something else than tensors; {_STATE_DICT}")
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise WeightsError(f"the weights {file} name a tensor {str(name)[:60]!r}, which is no text; {_STATE_DICT}")
        if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
            raise WeightsError(f"the weights {file}: '{name}' is sparse, quantized or without data; {_STATE_DICT}")
    return tensors
