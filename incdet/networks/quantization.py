"""Weights in eight bits: one scale per output channel, symmetric around zero; a quarter of float32's size."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from incdet.errors import WeightsError

SCALE_SUFFIX = ".scale"
"""Added to a tensor's name, gives the name of its scales [output channels] float32."""

_MAX_INT8 = 127


def quantize(tensors: Mapping[str, Tensor], exact: Collection[str] = ()) -> dict[str, Tensor]:
    """Rounds weights to eight bits.

    A weight moves by half a scale at most, that is by 1/254 of the largest weight of its channel.

    Args:
        tensors: name -> weights [O, ...] or biases [O], floating point.
        exact: names of tensors that are not rounded to eight bits.

    Returns:
        Name -> int8 [O, ...], and name + ".scale" -> float32 [O]; biases and exact tensors are float16.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or name in exact:
            stored[name] = tensor.to(torch.float16)
            continue
        # the largest weight of each channel becomes 127; a channel of zeros has the smallest normal number as its scale
        max_weights = tensor.float().flatten(1).abs().amax(dim=1)
        scale = max_weights.clamp(min=torch.finfo(torch.float32).tiny) / _MAX_INT8
        stored[name] = (tensor.float() / _along_channels(scale, tensor)).round().to(torch.int8)
        stored[name + SCALE_SUFFIX] = scale
    return stored


def dequantize(stored: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """Multiplies int8 weights by their scales; other tensors stay as they are.

    Args:
        stored: tensors as `quantize` made them, or without any int8.
        origin: name of the file, for messages.

    Returns:
        Name -> floating-point tensor, without the scales.

    Raises:
        WeightsError: an int8 tensor has no scales of its own.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if tensor.dtype != torch.int8:
            # a tensor called ".scale" belongs to an int8 tensor, unless that one is missing or of another type
            quantized = stored.get(name.removesuffix(SCALE_SUFFIX), tensor)
            if quantized.dtype != torch.int8:
                tensors[name] = tensor
            continue
        scale = stored.get(name + SCALE_SUFFIX)
        if scale is None or scale.shape != tensor.shape[:1]:
            found = "none" if scale is None else list(scale.shape)
            raise WeightsError(
                f"the weights {origin}: '{name}' is int8 and needs scales of shape {list(tensor.shape[:1])}, found "
                f"{found}; the file is damaged"
            )
        tensors[name] = tensor.float() * _along_channels(scale, tensor)
    return tensors


def _along_channels(scale: Tensor, tensor: Tensor) -> Tensor:
    """Scales [O] in the shape [O, 1, ...] that multiplies a tensor [O, ...]."""
    return scale.view(-1, *[1] * (tensor.ndim - 1))
