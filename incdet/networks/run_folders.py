"""Folders of trainings, where somebody looks for weights: those that are there, or how far the training has come."""

import itertools
import shlex
from pathlib import Path

from safetensors import SafetensorError, safe_open

from incdet.errors import OutputError, WeightsError, reason
from incdet.networks.weights_origin import activation_ranges_file, box_regressor_file

CHECKPOINT_FILE = "checkpoint.safetensors"
"""Name of the file in the folder of a run that holds the state of the training."""

WEIGHTS_FILE = "weights.safetensors"
"""Name of the file of trained weights in the folder of a run."""

CONFIGURATION_FILE = "config.json"
"""Name of the file with all settings of the training in the folder of a run."""


def set_earlier_weights_aside(folder: Path) -> Path | None:
    """Renames trained weights, and their sidecar files, to weights-earlier-1, -2, and so on, so that nobody takes them
    for those of a training that begins or goes on in their folder.

    Args:
        folder: The folder of the run.

    Returns:
        The new name of the weights; None where there are none.

    Raises:
        OutputError: They cannot be renamed.
    """
    file = folder / WEIGHTS_FILE
    if not file.exists():
        return None
    numbered = (folder / f"weights-earlier-{number}{file.suffix}" for number in itertools.count(1))
    aside = next(place for place in numbered if not place.exists())
    try:
        # the sidecar files first: they are of no use without their weights, and are looked for beside them
        for sidecar in (activation_ranges_file, box_regressor_file):
            if sidecar(file).exists():
                sidecar(file).rename(sidecar(aside))
        return file.rename(aside)
    except OSError as error:
        raise OutputError(
            f"cannot rename the weights {file} of an earlier training: {reason(error)}; move them away"
        ) from None


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
