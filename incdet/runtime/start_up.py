"""The time before the first result: how long a process has run, and what it loads and compiles once."""

import atexit
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Number of new objects after which Python looks for garbage in cycles; 700 by default. Importing libraries makes a
million objects and no garbage. Without looking for any, a detection's take a fifth less of the processor's time."""


class StartUpTimes:
    """Seconds that went into things which a process does once, summed over all threads."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Adds the time that the block takes to one of the parts of the start, whether it fails or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    def parts(self, ready_after: float, first_result_after: float) -> dict[str, float]:
        """Returns the seconds of each part of the time from the start of the process to its first result.

        Args:
            ready_after: Age of the process, in seconds, when it began with the first photo.
            first_result_after: Age of the process when that photo was done.
        """
        with self._lock:
            measured = dict(self._seconds)
        weights = measured.pop("weights", 0.0)
        parts = {
            "libraries and arguments": ready_after - weights,
            "weights": weights,
            "first photo": first_result_after - ready_after,
        }
        # kernels are loaded when they are needed, networks in a thread of their own
        parts |= {f"  meanwhile: {name}": seconds for name, seconds in measured.items()}
        return parts | {"total": first_result_after}


START_UP = StartUpTimes()
"""The times of this process. Parts: "weights", "kernels" and "compiled networks"."""

_LOADED = time.perf_counter()


def process_age() -> float:
    """Returns the seconds since this process started, or since this module was loaded where the system is silent."""
    try:
        # field 22 is the start, in ticks since that of the system; the name of the program before may hold blanks
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return time.perf_counter() - _LOADED


def collect_garbage_rarely() -> None:
    """Makes Python look for garbage less often, and not when it ends, for programs that end when their work is done."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    # going through a million objects once more, which the system frees anyway, would keep the user waiting
    atexit.register(gc.freeze)


_compilation_listeners: list[Callable[[], None]] = []


def tell_first_compilation(listener: Callable[[], None]) -> None:
    """Calls a function once, when something must be compiled that will be kept for later processes."""
    # one command may ask several times
    if listener not in _compilation_listeners:
        _compilation_listeners.append(listener)


def compilation_begins() -> None:
    """Tells the listeners that something is being compiled which no earlier process has left."""
    while True:
        try:
            listener = _compilation_listeners.pop()
        except IndexError:
            # none is left; kernels and networks may be compiled side by side, so that only `pop` knows
            return
        listener()
