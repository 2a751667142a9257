"""Whether torch can find a GPU at all, known without torch, which takes longer to import than everything else."""

import ctypes
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from incdet.errors import ConfigurationError

_BUILD = re.compile(r"^(cuda|hip)\b[^=]*= *(.+)$", re.MULTILINE)
"""The lines of torch's `version.py` that name the library for GPUs that it was built with, or None."""


def no_gpu_error() -> ConfigurationError:
    """Returns the error about a GPU that was asked for and cannot be used."""
    return ConfigurationError("device 'cuda' was asked for, but torch finds no usable GPU here; use --device cpu")


def refuse_missing_gpu(device: str) -> None:
    """Refuses the device "cuda" where torch certainly finds no GPU; in doubt, torch is asked when it is needed.

    Args:
        device: "auto", "cpu" or "cuda".

    Raises:
        ConfigurationError: There is no GPU.
    """
    if device == "cuda" and not _gpu_is_possible():
        raise no_gpu_error()


def _gpu_is_possible() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return False
    built_with = _torch_build()
    if built_with is None:
        return True
    if built_with.get("cuda", "None") != "None":
        return _driver_is_installed()
    if built_with.get("hip", "None") != "None":
        # the device file of AMD's driver
        return Path("/dev/kfd").exists()
    return False


def _torch_build() -> dict[str, str] | None:
    """Returns torch's own words on the libraries that it was built with; None where they cannot be found."""
    try:
        package = find_spec("torch")
        if package is None or package.origin is None:
            return None
        text = Path(package.origin).with_name("version.py").read_text(encoding="utf-8")
    except (OSError, ValueError, ImportError):
        return None
    return dict(_BUILD.findall(text)) or None


def _driver_is_installed() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
