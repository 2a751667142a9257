"""How inner loops are compiled: by numba, to machine code that is kept on disk between processes."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

Function = TypeVar("Function", bound=Callable[..., object])

_UNUSABLE = (OSError, EOFError, ValueError, KeyError, AttributeError, ImportError, pickle.PickleError)
"""Errors that a damaged file, a full disk or a folder that went away raises."""


class _TolerantCache(FunctionCache):
    """Machine code on disk, beside the source or in the user's cache folder.

    Numba's own cache lets errors of the disk through. Here they cost time, because the function is compiled again.
    """

    def load_overload(self, *arguments: Any) -> Any:
        """Loads the machine code for a signature; None where there is none that can be used."""
        try:
            return super().load_overload(*arguments)
        except _UNUSABLE:
            # removed, so that the next process does not stumble over it, too
            with suppress(*_UNUSABLE):
                self.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Stores the machine code for a signature where that is possible."""
        with suppress(*_UNUSABLE):
            super().save_overload(*arguments)


def kernel(function: Function) -> Function:
    """Compiles a function at its first call; it then runs without Python's lock, so that threads run side by side.

    `fastmath` is off, because it reorders sums: the same operations in the same order give the same boxes on every
    machine. Divisions by zero give infinities, as in NumPy.

    Args:
        function: a function of arrays and numbers, in the part of Python that numba compiles.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    # numba raises RuntimeError where it finds no folder that can be written to; every process then compiles anew
    with suppress(RuntimeError):
        compiled._cache = _TolerantCache(function)
    return compiled
