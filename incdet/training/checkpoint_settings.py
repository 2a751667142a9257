"""The settings under which a checkpoint was written: those that decide the result must be the same to go on.

They are read without torch, so that a folder of another training is told before anything is loaded.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from incdet.errors import ConfigurationError, WeightsError, reason
from incdet.networks.run_folders import CHECKPOINT_FILE
from incdet.runtime.counted_words import counted, first_ones

DATA_KEY = "data_set"
"""Key of the configuration under which stands what the checkpoint was trained on: names, classes, checksums."""

_LEARNT_KEYS = (f"{DATA_KEY}.learnt", f"{DATA_KEY}.learnt_photos")
"""Keys of what tells the photos that are learnt from those that validate."""

FEATURE_MAPS_KEY = "feature_maps"
"""Name, beside those of the data, of the fingerprint of weights whose feature maps are learnt from."""

_MAX_SHOWN = 10
"""Number of classes that a message names."""

_MAX_CHANGES = 5
"""Number of changed settings that a message names."""

_NAMES = {"samples_per_step": "the number of samples a step (optimization.batch_size, times the processes)"}
"""What is said of values that are no settings themselves."""


def identify_learnt(names: Iterable[str]) -> dict[str, Any]:
    """Returns number and checksum of the photos that are learnt, as a part of what a checkpoint belongs to.

    Args:
        names: names of the photos without those that validate, in order.
    """
    listed = list(names)
    checksum = hashlib.sha256("\n".join(listed).encode(errors="surrogateescape")).hexdigest()
    return {"learnt_photos": len(listed), "learnt": checksum}


def check_checkpoint(folder: Path, configuration: dict[str, Any]) -> None:
    """Makes sure that a training can go on from the checkpoint in its folder, where there is one.

    Args:
        folder: folder of the run.
        configuration: settings that decide the result now, without those that only a running training knows.

    Raises:
        WeightsError: the checkpoint cannot be read, or belongs to other data.
        ConfigurationError: it was written under other settings.
    """
    file = folder / CHECKPOINT_FILE
    if not file.exists():
        return
    try:
        with safe_open(file, "np") as stored:
            metadata = stored.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read the checkpoint {file}: {reason(error)}; delete it to start afresh") from None
    require_same_settings(file, metadata, configuration, only_known=True)


def require_same_settings(
    file: Path, metadata: dict[str, str], configuration: dict[str, Any], only_known: bool = False
) -> None:
    """Raises an error where a checkpoint was written under other settings.

    Args:
        file: the checkpoint.
        metadata: texts of the file about itself, by name.
        configuration: settings that decide the result now.
        only_known: whether settings of the checkpoint that `configuration` lacks are passed over; default false.

    Raises:
        WeightsError: the file is no checkpoint, or belongs to other data.
        ConfigurationError: settings differ; the message names them with both values.
    """
    if not {"step", "configuration"} <= metadata.keys():
        raise WeightsError(f"{file} is not a checkpoint of incdet (it says no step); delete it to start afresh")
    try:
        earlier = _flat(json.loads(metadata["configuration"]))
    except (ValueError, AttributeError, RecursionError):
        raise WeightsError(f"the checkpoint {file} has a damaged configuration; delete it to start afresh") from None
    now = _flat(configuration)
    keys = set(now) if only_known else earlier.keys() | now.keys()
    # checkpoints of earlier versions do not say what data they belong to, and say in which folder it was
    keys = {key for key in keys if key in earlier or not key.startswith(DATA_KEY)}
    keys = {key for key in keys if not _is_place(key)}
    classes = f"{DATA_KEY}.classes"
    if classes in keys and earlier[classes] != now.get(classes):
        raise WeightsError(
            f"the checkpoint {file} belongs to {_class_list(earlier[classes])}, but the data set has "
            f"{_class_list(now.get(classes))}; use the data set that it was trained on, or another output folder"
        )
    different = [key for key in sorted(keys) if earlier.get(key) != now.get(key)]
    # which photos and feature maps are learnt follows from the settings, which are told first
    consequences = (*_LEARNT_KEYS, f"{DATA_KEY}.{FEATURE_MAPS_KEY}")
    for key in different:
        if key.startswith(DATA_KEY) and key not in consequences:
            raise WeightsError(
                f"the checkpoint {file} belongs to other data: {key.removeprefix(DATA_KEY + '.')} of "
                f"{now.get(f'{DATA_KEY}.name')} changed since then; use the data that it was trained on, or another "
                "output folder"
            )
    _require_same_values(file, metadata, [key for key in different if key not in consequences], earlier, now)
    if different:
        _refuse_other_lessons(file, different, earlier, now)


def _require_same_values(
    file: Path, metadata: dict[str, str], different: list[str], earlier: dict[str, Any], now: dict[str, Any]
) -> None:
    """Raises ConfigurationError where settings differ; see `require_same_settings`.

    Args:
        file: the checkpoint.
        metadata: texts of the file about itself, by name.
        different: dotted keys of the settings that differ.
        earlier: settings of the checkpoint by their dotted keys.
        now: settings now.
    """
    if different:
        changes = []
        for key in different:
            then = _shown(earlier.get(key))
            if key == "optimization.steps" and "steps" in metadata and then == "auto":
                then += f" ({metadata['steps']})"
            changes.append(f"{_NAMES.get(key, key)} is {then} there and {_shown(now.get(key))} now")
        raise ConfigurationError(
            f"the training in {file.parent} was begun with other settings: {first_ones(changes, _MAX_CHANGES)}; use "
            f"those of the training there, or give another folder with --output, or delete {file} to start afresh"
        )


def _refuse_other_lessons(file: Path, different: list[str], earlier: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises the error about other photos or other feature maps under equal settings; the arguments are those above."""
    if f"{DATA_KEY}.{FEATURE_MAPS_KEY}" in different:
        raise WeightsError(
            f"the training in {file.parent} has learnt from the feature maps of other weights than those that "
            f"{now.get('initial_weights')} names now; give it the same weights again, or use another output folder"
        )
    number = f"{DATA_KEY}.learnt_photos"
    then, found = earlier.get(number), now.get(number)
    others = "others" if then == found else _shown(found)
    raise WeightsError(
        f"the training in {file.parent} learnt {_shown(then)} photos of {now.get(f'{DATA_KEY}.name')} and would learn "
        f"{others} now, because other photos validate; restore those that validated then, or use another output folder"
    )


def require_same_steps(file: Path, metadata: dict[str, str], steps: int) -> None:
    """Raises an error where a training was begun for another number of steps, which decides its learning rates.

    Args:
        file: the checkpoint.
        metadata: texts of the file about itself, by name; those of earlier versions do not say the number.
        steps: number of steps of the whole run now.

    Raises:
        ConfigurationError: the numbers differ.
    """
    then = metadata.get("steps", str(steps))
    if then != str(steps):
        raise ConfigurationError(
            f"the training in {file.parent} was begun for {then} steps, and what it learns makes {steps} now; use the "
            f"photos and proposals that it was begun with, or give another folder with --output, or delete {file} to "
            "start afresh"
        )


def _is_place(key: str) -> bool:
    """Whether a setting is the folder of the data, which may be moved; what the data is is compared by itself."""
    return key.rpartition(".")[2] == "root"


def _shown(value: Any) -> str:
    """Returns a value as a setting has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _class_list(classes: Any) -> str:
    """Returns a number of classes with their names, in words."""
    names = [str(name) for name in classes] if isinstance(classes, list | tuple) else [str(classes)]
    shown = ", ".join(names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")
    return f"{counted(len(names), 'class', 'classes')} ({shown})"


def _flat(configuration: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings with dotted keys instead of sections."""
    flat: dict[str, Any] = {}
    for key, value in configuration.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
