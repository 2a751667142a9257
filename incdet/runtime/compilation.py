"""How inner loops are compiled: by numba, to machine code that is kept on disk between processes."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba

# numba looks at it for every argument, and NumPy loads it at the first look: threads that look at the same time would
# send NumPy's loading into itself
import numpy.ma  # noqa: F401
from numba.core.caching import FunctionCache
from numba.core.sigutils import normalize_signature

from incdet.runtime.private_folders import is_private
from incdet.runtime.start_up import START_UP, compilation_begins

Function = TypeVar("Function", bound=Callable[..., object])

_UNUSABLE = (OSError, EOFError, ValueError, KeyError, AttributeError, ImportError, pickle.PickleError)
"""Errors that a damaged file, a full disk or a folder that went away raises."""


class _TolerantCache(FunctionCache):
    """Machine code on disk, beside the source or in the user's cache folder.

    Numba's own cache lets errors of the disk through. Here they cost time, because the function is compiled again.
    The files are unpickled, which runs whatever they hold. A folder that belongs to another user, or that others may
    write to, is therefore not used.
    """

    def load_overload(self, *arguments: Any) -> Any:
        """Loads the machine code for a signature; None where there is none that can be used."""
        with START_UP.measure("kernels"):
            loaded = self._load_usable(*arguments)
        if loaded is None:
            # numba compiles the function now
            compilation_begins()
        return loaded

    def _load_usable(self, *arguments: Any) -> Any:
        if not self.is_kept():
            return None
        try:
            loaded = super().load_overload(*arguments)
            # two processes that store a function for different types at the same time may take the same file
            is_asked_for = loaded is None or tuple(loaded.signature.args) == normalize_signature(arguments[0])[0]
            return loaded if is_asked_for else None
        except _UNUSABLE:
            # removed, so that the next process does not stumble over it, too
            with suppress(*_UNUSABLE):
                self.flush()
            return None

    def is_kept(self) -> bool:
        """Whether machine code is stored, because nobody else can write to its folder."""
        return is_private(Path(self._cache_path))

    def is_empty(self) -> bool:
        """Whether there is no machine code for any signature."""
        try:
            return not self._cache_file._load_index()
        except _UNUSABLE:
            return True

    def save_overload(self, *arguments: Any) -> None:
        """Stores the machine code for a signature where that is possible."""
        if not self.is_kept():
            return
        with suppress(*_UNUSABLE):
            super().save_overload(*arguments)


_caches: list[_TolerantCache] = []
"""The machine code on disk of all kernels that are loaded."""


def kernel(function: Function) -> Function:
    """Compiles a function at its first call; it then runs without Python's lock, so that threads run side by side.

    `fastmath` is off, because it reorders sums: the same operations in the same order give the same boxes on every
    machine. Divisions by zero give infinities, as in NumPy.

    Args:
        function: a function of arrays and numbers, in the part of Python that numba compiles.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if compiled is function:
        # numba is switched off (NUMBA_DISABLE_JIT), for those who debug the function
        return function
    # numba raises RuntimeError where it finds no folder that can be written to; every process then compiles anew
    with suppress(RuntimeError):
        compiled._cache = _TolerantCache(function)
        _caches.append(compiled._cache)
    return compiled


def lacks_machine_code(function: Callable[..., object]) -> bool:
    """Whether the machine code of a kernel will be kept on disk, and is not there yet for any types."""
    cache = getattr(function, "_cache", None)
    return isinstance(cache, _TolerantCache) and cache.is_kept() and cache.is_empty()


def tell_of_workers() -> None:
    """Tells of compilation where processes that are about to start will compile, because no kernel is on disk yet."""
    if _caches and all(cache.is_empty() for cache in _caches):
        compilation_begins()
