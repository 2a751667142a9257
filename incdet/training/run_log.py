"""The log of a training: one JSON object a line, and TensorBoard's events beside it where wanted."""

import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from incdet.errors import DataError, OutputError, reason
from incdet.runtime.files import append_text, write_text
from incdet.runtime.optional_packages import require_package
from incdet.runtime.text_files import read_text

SPEEDS_AND_RATES = frozenset({"learning_rate", "samples_per_second"})
"""Names in the log that are no loss terms and no validations; only entries about training steps have them."""


class RunLog:
    """The file `log.jsonl` in the folder of a run.

    Args:
        folder: folder of the run; it exists.
        tensorboard: whether TensorBoard's events are written into the same folder, too.

    Raises:
        PackageError: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path, tensorboard: bool = False):
        self._file = folder / "log.jsonl"
        self._folder, self._tensorboard = folder, tensorboard
        self._events: Any = None
        if tensorboard:
            require_package("tensorboard", "TensorBoard's events", "train")
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter

    def resume(self, step: int) -> None:
        """Drops the entries after this step, because those steps will be taken again."""
        if self._file.exists():
            # a line that was cut off by the end of the process is dropped, too
            kept = [entry for entry in self._entries() if entry["step"] <= step]
            write_text(self._file, "".join(json.dumps(entry) + "\n" for entry in kept))
        if self._tensorboard:
            # events are only opened here, because TensorBoard wants to know from which step on it forgets
            self._events = self._writer(str(self._folder), purge_step=step + 1)

    def add(self, entry: dict[str, Any]) -> None:
        """Appends an entry, which names its "step"."""
        try:
            append_text(self._file, json.dumps(entry) + "\n", create=True)
        except OSError as error:
            raise OutputError(f"cannot write {self._file}: {reason(error)}; run again once it can be written") from None
        if self._events is None:
            return
        for name, value in entry.items():
            if name != "step":
                self._events.add_scalar(name, value, entry["step"])
        self._events.flush()

    def validated(self, step: int) -> bool:
        """Whether a validation after this step is in the log."""
        return any(entry["step"] == step and "learning_rate" not in entry for entry in self._entries())

    def last(self, prefix: str) -> dict[str, float]:
        """Returns the numbers of the last step in the log whose names begin with the prefix."""
        entries = self._entries()
        found: dict[str, float] = {}
        for entry in entries:
            if entry["step"] != entries[-1]["step"]:
                continue
            for name, value in entry.items():
                # logs of earlier versions may hold NaN
                if name.startswith(prefix) and isinstance(value, int | float) and math.isfinite(value):
                    found[name] = value
        return found

    def _entries(self) -> list[dict[str, Any]]:
        """Returns the lines that are entries; a damaged one is left out."""
        if not self._file.exists():
            return []
        entries = []
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and type(entry.get("step")) is int:
                    entries.append(entry)
        return entries


class LogWindow:
    """The steps since the last line of the log.

    Attributes:
        steps: number of steps.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._totals: dict[str, float] = {}
        self._started = time.perf_counter()

    def add(self, terms: dict[str, float]) -> None:
        """Adds the loss terms of one more step."""
        self.steps += 1
        for name, value in terms.items():
            self._totals[name] = self._totals.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Returns the mean of every loss term over the steps."""
        return {name: round(total / self.steps, 6) for name, total in self._totals.items()}

    @property
    def seconds(self) -> float:
        """Time of the steps, without pauses."""
        return time.perf_counter() - self._started

    def pause(self, other_work: Callable[[], None]) -> None:
        """Does something that takes time without being training."""
        # the window begins that much later
        before = time.perf_counter()
        other_work()
        self._started += time.perf_counter() - before


def read_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Reads the numbers that a run logged as curves; rates and speeds are left out.

    Args:
        folder: folder of the run, which may still go on.

    Returns:
        Name -> (step, value) in order; loss terms come first, then validations.

    Raises:
        DataError: the folder has no log, or something else is in it.
    """
    text = read_text(folder / "log.jsonl", "the log of a training", "give the folder of a run")
    curves: dict[str, list[tuple[int, float]]] = {}
    try:
        # a line that is just being written has no end yet
        for line in text[: text.rfind("\n") + 1].splitlines():
            entry = json.loads(line)
            step = int(entry.pop("step"))
            for name in entry.keys() - SPEEDS_AND_RATES:
                curves.setdefault(name, []).append((step, float(entry[name])))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise DataError(f"{folder / 'log.jsonl'} is not the log of a training; give the folder of a run") from None
    names = sorted(curves, key=lambda name: (name.startswith("validation"), name))
    return {name: curves[name] for name in names}
