"""Ctrl-C and `kill` in the middle of a step: the step is finished first, so that its state can be stored."""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class finish_first:  # noqa: N801 (a context manager reads like a function)
    """Within the block, SIGINT and SIGTERM wait; when it ends, one that came raises KeyboardInterrupt.

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """

    def __enter__(self) -> None:
        self._received = False
        here = threading.current_thread() is threading.main_thread()
        self._before: dict[signal.Signals, Any] = (
            {number: signal.signal(number, self._note) for number in _SIGNALS} if here else {}
        )

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._received and kind is None:
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._received = True


class stop_like_ctrl_c:  # noqa: N801
    """Within the block SIGTERM, which `torchrun` and clusters send, raises KeyboardInterrupt as Ctrl-C does."""

    def __enter__(self) -> None:
        here = threading.current_thread() is threading.main_thread()
        self._before: Any = signal.signal(signal.SIGTERM, signal.default_int_handler) if here else None

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
