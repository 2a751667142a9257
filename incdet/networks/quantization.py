"""Weights in eight bits: one scale per output channel, symmetric around zero; a quarter of float32's size."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from incdet.errors import WeightsError

SCALE_SUFFIX = ".scale"
"""Added to a tensor's name: the name of its scales, [output channels] float32."""

_LARGEST = 127


def quantize(tensors: Mapping[str, Tensor], exact: Collection[str] = ()) -> dict[str, Tensor]:
    """Weights [O, ...] -> int8 [O, ...] and their scales [O]; biases and what is in `exact` become float16.

    A weight moves by half a scale at most, that is by 1/254 of the largest of its channel.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or name in exact:
            stored[name] = tensor.to(torch.float16)
            continue
        scale = tensor.float().flatten(1).abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / _LARGEST
        stored[name] = (tensor.float() / _along_channels(scale, tensor)).round().to(torch.int8)
        stored[name + SCALE_SUFFIX] = scale
    return stored


def dequantize(stored: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """What `quantize` was given, nearly; tensors that are not int8 pass as they are.

    Raises:
        WeightsError: an int8 tensor without scales of its own.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if tensor.dtype != torch.int8:
            if stored.get(name.removesuffix(SCALE_SUFFIX), tensor).dtype != torch.int8:
                tensors[name] = tensor
            continue
        scale = stored.get(name + SCALE_SUFFIX)
        if scale is None or scale.shape != tensor.shape[:1]:
            found = "none" if scale is None else list(scale.shape)
            raise WeightsError(
                f"the weights {origin}: '{name}' is int8 and needs {len(tensor)} scales, found {found}; the file is "
                "damaged"
            )
        tensors[name] = tensor.float() * _along_channels(scale, tensor)
    return tensors


def _along_channels(scale: Tensor, tensor: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (tensor.ndim - 1))
