"""Where and how precisely networks compute."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from incdet.errors import ConfigurationError

_KEEPING = {-4: 0, -1: -1, -2: 1 << 28}
"""Of glibc's mallopt: nothing is mapped on its own (M_MMAP_MAX), nothing is given back (M_TRIM_THRESHOLD), and the heap
grows by 256 MiB (M_TOP_PAD)."""


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of a name; "auto" is the GPU where one works.

    Raises:
        ConfigurationError: "cuda" without a usable GPU.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigurationError("device 'cuda' was asked for, but torch finds no usable GPU here; use --device cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def choose_precision(name: Literal["auto", "float32", "bfloat16", "int8"], device: torch.device) -> torch.dtype:
    """The type that torch computes in; "auto" is bfloat16 where the device multiplies it natively, else float32.

    Raises:
        ConfigurationError: "int8", which is no type that torch computes networks in.
    """
    if name == "int8":
        raise ConfigurationError(
            "precision 'int8' is for regions computed by OpenVINO on a CPU (scores.engine=openvino, pip install "
            "'incdet[openvino]'); choose another scores.precision"
        )
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    native = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


def choose_batch_size(number: int | None, device: torch.device) -> int:
    """Crops at a time; where nobody chose, so many that the device is busy and memory is not."""
    return number or (512 if device.type == "cuda" else 64)


@cache
def cpu_flags() -> frozenset[str]:
    """What the processor says it can do, in the names of Linux; nothing where the system does not tell."""
    try:
        return frozenset(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return frozenset()


def _cpu_has_bfloat16() -> bool:
    """Whether the processor has AVX512-BF16 or AMX (elsewhere bfloat16 is emulated and slower than float32)."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def keep_freed_memory() -> None:
    """For programs that train on a CPU: memory that is freed stays with the process, where it runs on glibc.

    Otherwise every step gives gigabytes back and gets them anew, page by page: a seventh of the time (43 regions per
    second in place of 50).
    """
    try:
        allocator = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in _KEEPING.items():
        allocator(parameter, value)
