"""SHA-256 of tensors and of what is stored with them, by which a single flipped bit in a file is noticed."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def tensor_checksum(tensors: Mapping[str, Tensor], beginning: str = "") -> str:
    """Computes the SHA-256 of a text and of tensors: their names, types, shapes and bytes.

    Args:
        tensors: name -> tensor on the CPU.
        beginning: text that is stored with them; "" is none.
    """
    digest = hashlib.sha256(beginning.encode(errors="surrogateescape"))
    for name, tensor in sorted(tensors.items()):
        # the text keeps equal bytes of different tensors apart
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(errors="surrogateescape"))
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
