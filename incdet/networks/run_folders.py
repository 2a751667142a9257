"""Folders of trainings, where somebody looks for weights: those that are there, or how far the training has come."""

import shlex
from pathlib import Path

from safetensors import SafetensorError, safe_open

from incdet.errors import WeightsError

CHECKPOINT_FILE = "checkpoint.safetensors"
"""Name of the file in the folder of a run that holds the state of the training."""

WEIGHTS_FILE = "weights.safetensors"
"""Name of the file of trained weights in the folder of a run."""

CONFIGURATION_FILE = "config.json"
"""Name of the file with all settings of the training in the folder of a run."""


def weights_of_run(path: Path) -> Path:
    """Returns the weights that a path means: a file, or the one in the folder of a finished training.

    Args:
        path: The path, which may lead nowhere.

    Raises:
        WeightsError: The training in that folder is not finished, or the folder holds the members of an ensemble.
    """
    if path.is_file():
        return path
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and (path / WEIGHTS_FILE).is_file():
        return path / WEIGHTS_FILE
    if (folder / CHECKPOINT_FILE).is_file() and path in (folder, folder / WEIGHTS_FILE):
        raise WeightsError(f"no weights in {folder}: {_unfinished(folder)}")
    members = sorted(file.parent for file in folder.glob(f"member-*/{WEIGHTS_FILE}")) if path.is_dir() else []
    if members:
        options = " ".join(f"--weights {shlex.quote(str(member))}" for member in members)
        raise WeightsError(f"the folder {folder} holds the members of an ensemble; give them as {options}")
    return path


def _unfinished(folder: Path) -> str:
    """Returns what is known about the training in a folder, and the command that continues it."""
    try:
        with safe_open(folder / CHECKPOINT_FILE, "np") as stored:
            known = stored.metadata() or {}
    except (SafetensorError, OSError):
        known = {}
    place = f" at step {known['step']} of {known['steps']}" if {"step", "steps"} <= known.keys() else ""
    what = f"the training there is unfinished{place}; continue it with "
    if not known.get("command") or not (folder / CONFIGURATION_FILE).is_file():
        return f"{what}the command that began it"
    configuration = shlex.quote(str(folder / CONFIGURATION_FILE))
    return f"{what}incdet train {known['command']} {configuration} --output {shlex.quote(str(folder))}"
