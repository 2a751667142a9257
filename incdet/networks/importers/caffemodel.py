"""Caffe's `.caffemodel` files: protocol buffers, read with the official runtime.

Only the few messages that hold weights are described here, with the field numbers of caffe.proto. The runtime skips
everything else in a file.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.errors import PackageError, WeightsError, reason

_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "BlobShape": {"dim": (1, "int64", True)},
    "BlobProto": {
        "num": (1, "int32", False),
        "channels": (2, "int32", False),
        "height": (3, "int32", False),
        "width": (4, "int32", False),
        "data": (5, "float", True),
        "shape": (7, "BlobShape", False),
    },
    "LayerParameter": {"name": (1, "string", False), "blobs": (7, "BlobProto", True)},
    "V1LayerParameter": {"name": (4, "string", False), "blobs": (6, "BlobProto", True)},
    "NetParameter": {"layers": (2, "V1LayerParameter", True), "layer": (100, "LayerParameter", True)},
}
"""Message -> field -> (number, type, whether it is repeated). Layers of 2014 are `V1LayerParameter`."""


def read_caffemodel(file: Path) -> dict[str, Tensor]:
    """Reads the parameters of every layer.

    Returns:
        "<layer>.weight" and "<layer>.bias" -> float32 tensor, in Caffe's shapes and channel order.

    Raises:
        WeightsError: the file cannot be read, or holds no network of Caffe's.
        PackageError: protobuf is not installed.
    """
    message = _net_parameter()()
    try:
        message.ParseFromString(file.read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot read weights {file}: {reason(error)}; check the path") from None
    except Exception:
        raise WeightsError(
            f"cannot read weights {file}: neither safetensors nor a PyTorch file nor a .caffemodel; check the file"
        ) from None
    tensors = {}
    # a file has layers of the old or of the new kind; those without parameters have no blobs
    for layer in (*message.layers, *message.layer):
        for part, blob in zip(("weight", "bias"), layer.blobs, strict=False):
            tensors[f"{layer.name}.{part}"] = _tensor(blob, f"{file}: '{layer.name}'")
    if not tensors:
        raise WeightsError(f"the weights {file} hold no layers with parameters; expected a .caffemodel")
    return tensors


def _tensor(blob: Any, origin: str) -> Tensor:
    """The numbers of a blob in its shape, float32.

    Raises:
        WeightsError: there are more or fewer numbers than the shape needs.
    """
    # files of 2014 state four numbers in place of a shape, with leading ones for a bias or a matrix
    old = [blob.num, blob.channels, blob.height, blob.width]
    shape = list(blob.shape.dim) if blob.HasField("shape") else old
    values = np.array(blob.data, np.float32)
    # in Python's numbers, which cannot overflow
    if any(side < 0 for side in shape) or values.size != math.prod(shape):
        raise WeightsError(f"{origin} has {values.size} numbers for a shape of {shape}; the file is damaged")
    while not blob.HasField("shape") and len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return torch.from_numpy(values.reshape(shape))


@cache
def _net_parameter() -> Any:
    """Builds the class that parses Caffe's NetParameter from `_MESSAGES`.

    Raises:
        PackageError: protobuf is not installed.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise PackageError("reading a .caffemodel needs protobuf; run: pip install 'incdet[caffe]'") from None
    # what a compiled caffe.proto would declare, made at run time: so no generated code has to fit protobuf's version
    kinds = descriptor_pb2.FieldDescriptorProto
    described = descriptor_pb2.FileDescriptorProto(name="incdet_caffe.proto", package="incdet_caffe", syntax="proto2")
    for name, fields in _MESSAGES.items():
        entry = described.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            added = entry.field.add(name=field, number=number, label=label)
            if kind in _MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".incdet_caffe.{kind}"
            else:
                added.type = getattr(kinds, f"TYPE_{kind.upper()}")
                # repeated numbers stand together in one field
                added.options.packed = repeated
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("incdet_caffe.NetParameter"))
