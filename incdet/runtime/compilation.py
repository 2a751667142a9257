"""How inner loops are compiled: numba, to machine code that is kept on disk between processes."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

Function = TypeVar("Function", bound=Callable[..., object])

_UNUSABLE = (OSError, EOFError, ValueError, KeyError, AttributeError, ImportError, pickle.PickleError)
"""What a damaged file, a full disk or a folder that went away raise."""


class _TolerantCache(FunctionCache):
    """Machine code on disk, beside the source or in the user's cache folder. Trouble with it costs time, no results."""

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return super().load_overload(*arguments)
        except _UNUSABLE:
            with suppress(*_UNUSABLE):
                self.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        with suppress(*_UNUSABLE):
            super().save_overload(*arguments)


def kernel(function: Function) -> Function:
    """Compiles a function at its first call; it then runs without Python's lock, so threads run side by side.

    No `fastmath`: the same operations in the same order give the same boxes on every machine.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    # RuntimeError: no folder can be written to, so every process compiles anew
    with suppress(RuntimeError):
        compiled._cache = _TolerantCache(function)
    return compiled
