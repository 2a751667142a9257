"""The settings under which a checkpoint was written: those that decide the result must be the same to go on.

They are read without torch, so that a folder of another training is told before anything is loaded.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from incdet.errors import ConfigurationError, WeightsError, reason
from incdet.networks.run_folders import CHECKPOINT_FILE
from incdet.runtime.counted_words import counted, first_ones

DATA_KEY = "data_set"
"""Key of the configuration under which stands what the checkpoint was trained on: names, classes, checksums."""

_MAX_SHOWN = 10
"""Number of classes that a message names."""

_MAX_CHANGES = 5
"""Number of changed settings that a message names."""

_NAMES = {"samples_per_step": "the number of samples a step (optimization.batch_size, times the processes)"}
"""What is said of values that are no settings themselves."""


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
    # checkpoints of earlier versions do not say what data they belong to
    keys = {key for key in keys if key in earlier or not key.startswith(DATA_KEY)}
    classes = f"{DATA_KEY}.classes"
    if classes in keys and earlier[classes] != now.get(classes):
        raise WeightsError(
            f"the checkpoint {file} belongs to {_class_list(earlier[classes])}, but the data set has "
            f"{_class_list(now.get(classes))}; use the data set that it was trained on, or another output folder"
        )
    different = [key for key in sorted(keys) if earlier.get(key) != now.get(key)]
    for key in different:
        if key.startswith(DATA_KEY):
            raise WeightsError(
                f"the checkpoint {file} belongs to other data: {key.removeprefix(DATA_KEY + '.')} of "
                f"{now.get(f'{DATA_KEY}.name')} changed since then; use the data that it was trained on, or another "
                "output folder"
            )
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
