"""Which device computes networks, in which precision and batch size, and how it keeps memory."""

import ctypes
from typing import Literal

import torch

from incdet.errors import ConfigurationError
from incdet.runtime.cpu_flags import cpu_has_bfloat16
from incdet.runtime.gpu_presence import no_gpu_error

_M_MMAP_MAX, _M_TRIM_THRESHOLD, _M_TOP_PAD = -4, -1, -2
"""Numbers of parameters of glibc's mallopt, from malloc.h."""

_ALLOCATOR_SETTINGS = {
    _M_MMAP_MAX: 0,  # no block is mapped outside the heap, from where it would go back when it is freed
    _M_TRIM_THRESHOLD: -1,  # the end of the heap is never given back
    _M_TOP_PAD: 1 << 28,  # the heap grows by 256 MiB at a time
}


PrecisionSetting = Literal["auto", "float32", "bfloat16", "int8", "fastest"]
"""The values of `scores.precision`."""


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of a name.

    Args:
        name: "cpu", "cuda", or "auto", which is the GPU where one works and else the CPU.

    Raises:
        ConfigurationError: "cuda" without a usable GPU.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise no_gpu_error()
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def choose_precision(name: PrecisionSetting, device: torch.device) -> torch.dtype:
    """The type in which torch computes networks.

    Args:
        name: a type, or "auto", which is bfloat16 where the device multiplies it natively and else float32; "fastest"
            is the same, as torch computes no networks in eight bits.
        device: the device that computes.

    Raises:
        ConfigurationError: "int8" was asked for, in which torch computes no networks.
    """
    if name == "int8":
        raise ConfigurationError(
            "precision 'int8' is for regions computed by OpenVINO on a CPU (scores.engine=openvino, pip install "
            "'incdet[openvino]'); choose another scores.precision"
        )
    if name in ("float32", "bfloat16"):
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    # emulated bfloat16 is slower than float32
    native = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


def choose_batch_size(number: int | None, device: torch.device, shared_features: bool = False) -> int:
    """Number of regions that are classified at a time.

    Args:
        number: the configured number; None is 512 on a GPU, which keeps the device busy within little memory, and on a
            CPU 64 crops, or 256 regions that are pooled from shared feature maps.
        device: the device that computes.
        shared_features: whether the regions are pooled from shared feature maps. A pooled region takes a quarter of
            the memory of a crop and a twelfth of its time, so that the end of each batch, where a core waits for the
            other ones, counts more.
    """
    if number is not None:
        return number
    if device.type == "cuda":
        return 512
    return 256 if shared_features else 64


def keep_freed_memory() -> None:
    """Makes memory that is freed stay with the process, for programs that train on a CPU; it has an effect on glibc.

    Otherwise every step gives gigabytes back to the system and gets them again, page by page, which costs a seventh of
    the time (43 regions per second instead of 50).
    """
    try:
        allocator = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    for parameter, value in _ALLOCATOR_SETTINGS.items():
        allocator(parameter, value)
