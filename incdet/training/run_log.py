"""The log of a training: one JSON object a line, and TensorBoard's events beside it where wanted."""

import json
from pathlib import Path
from typing import Any

from incdet.errors import DataError
from incdet.runtime.files import read_text, write_text
from incdet.runtime.optional_packages import require_package


class RunLog:
    """`log.jsonl` in the folder of a run.

    Args:
        folder: of the run; exists.
        tensorboard: also write TensorBoard's events, into the same folder.

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
        """Drops what was logged after this step: those steps will be taken again."""
        if self._file.exists():
            lines = self._file.read_text().splitlines()
            whole = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
            write_text(self._file, "".join(f"{line}\n" for line in whole))
        if self._tensorboard:
            self._events = self._writer(str(self._folder), purge_step=step + 1)

    def add(self, entry: dict[str, Any]) -> None:
        """Appends an entry, which names its "step"."""
        with self._file.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")
        if self._events is not None:
            for name, value in entry.items():
                if name != "step":
                    self._events.add_scalar(name, value, entry["step"])
            self._events.flush()

    def validated(self, step: int) -> bool:
        """Whether a validation after this step is in the log."""
        entries = self._entries()
        return any(entry["step"] == step and "learning_rate" not in entry for entry in entries)

    def last(self, prefix: str) -> dict[str, float]:
        """The newest value of every name with this beginning."""
        found: dict[str, float] = {}
        for entry in self._entries():
            found |= {name: value for name, value in entry.items() if name.startswith(prefix)}
        return found

    def _entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []


def read_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What a run logged, as curves: name -> (step, value), in order; rates and speeds are left out.

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
            for name in entry.keys() - {"learning_rate", "samples_per_second"}:
                curves.setdefault(name, []).append((step, float(entry[name])))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{folder / 'log.jsonl'} is not the log of a training; give the folder of a run") from None
    return {name: curves[name] for name in sorted(curves, key=lambda name: (name.startswith("validation"), name))}
