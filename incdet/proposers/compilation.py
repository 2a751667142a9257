"""How selective search's inner loops are compiled: numba, to machine code that is kept on disk between processes."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compiles a function at its first call; it then runs without Python's lock, so threads run side by side.

    The machine code is stored beside the source or in the user's cache folder; where neither can be written to, every
    process compiles anew. No `fastmath`: the same operations in the same order give the same boxes on every machine.
    """
    try:
        return _compiled(function, cache=True)
    except RuntimeError:
        return _compiled(function, cache=False)


def _compiled(function: Function, cache: bool) -> Function:
    compiled: Any = numba.njit(cache=cache, nogil=True, error_model="numpy")(function)
    return compiled
