"""Where and how precisely networks compute."""

from functools import cache
from pathlib import Path
from typing import Literal

import torch

from incdet.errors import ConfigurationError


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of a name; "auto" is the GPU where one works.

    Raises:
        ConfigurationError: "cuda" without a usable GPU.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigurationError("device 'cuda' was asked for, but torch finds no usable GPU here; use --device cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def choose_precision(name: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """The compute type; "auto" is bfloat16 where the device multiplies it natively, else float32."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


@cache
def _cpu_has_bfloat16() -> bool:
    """Whether the processor has AVX512-BF16 or AMX (elsewhere bfloat16 is emulated and slower than float32)."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
