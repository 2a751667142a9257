"""Ctrl-C and `kill` in the middle of a training: the step is finished first, so that its state can be stored."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from incdet.runtime.reporter import say_nothing

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Interruption:
    """A context in which SIGINT, SIGTERM as `torchrun` and clusters send it, and SIGHUP end a training in good order.

    Between steps a process on its own is interrupted at once: KeyboardInterrupt is raised. Within `step()`, and always
    where several processes have to stop after the same step, the signal is noted in `requested` instead. A second
    signal does not wait. Outside the main thread, where Python delivers no signals, nothing is changed.

    Args:
        alone: whether this is the only process of the training.
        tell: takes a sentence at once when a signal comes.

    Attributes:
        requested: whether a signal has come.
        cut_step: whether a second signal left a step half done.
    """

    def __init__(self, alone: bool, tell: Callable[[str], None] = say_nothing):
        self.requested = self.cut_step = False
        self._alone, self._in_step, self._tell = alone, False, tell
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python delivers signals to the main thread only, and refuses handlers from others
        if threading.current_thread() is threading.main_thread():
            # under nohup a closing terminal is ignored
            heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def step(self) -> Iterator[None]:
        """A block that must not be left half done."""
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        # a first signal waits for the end of the step, or for the other processes; a second one means it
        is_first, self.requested = not self.requested, True
        wait = is_first and (self._in_step or not self._alone)
        when = "after this step" if wait else "now"
        if is_first:
            # the signal may have come in the middle of a line that this process writes
            with suppress(RuntimeError):
                self._tell(f"stopping {when}, then storing the checkpoint; a second Ctrl-C ends at once without it")
        if not wait:
            self.cut_step = self._in_step
            raise KeyboardInterrupt
