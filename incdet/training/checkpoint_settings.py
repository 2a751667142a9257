"""The settings under which a checkpoint was written: those that decide the result must be the same to go on.

They are read without torch, so that a folder of another training is told before anything is loaded.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from incdet.errors import WeightsError, reason

CHECKPOINT_FILE = "checkpoint.safetensors"
"""Name of the file in the folder of a run that holds the state of the training."""


DATA_KEY = "data_set"
"""Key of the configuration under which stands what the checkpoint was trained on: names, classes, checksums."""

_MAX_SHOWN = 10
"""Number of classes that a message names."""


def check_checkpoint(folder: Path, configuration: dict[str, Any]) -> None:
    """Makes sure that a training can go on from the checkpoint in its folder, where there is one.

    Args:
        folder: folder of the run.
        configuration: settings that decide the result now, without those that only a running training knows.

    Raises:
        WeightsError: the checkpoint cannot be read, or it was written under another configuration.
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
        WeightsError: a setting differs, or the file is no checkpoint; the message names the first key that differs.
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
    # settings are compared one by one, so that the message can name the one that differs
    for key in sorted(keys):
        if earlier.get(key) == now.get(key):
            continue
        if key.startswith(DATA_KEY):
            raise WeightsError(
                f"the checkpoint {file} belongs to other data: {key.removeprefix(DATA_KEY + '.')} of "
                f"{now.get(f'{DATA_KEY}.name')} changed since then; use the data that it was trained on, or another "
                "output folder"
            )
        raise WeightsError(
            f"the checkpoint {file} was written with {key} = {earlier.get(key)}, now it is {now.get(key)}; use the "
            "old value or another output folder"
        )


def _class_list(classes: Any) -> str:
    """Returns a number of classes with their names, in words."""
    names = [str(name) for name in classes] if isinstance(classes, list | tuple) else [str(classes)]
    shown = ", ".join(names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")
    return f"{len(names)} {'class' if len(names) == 1 else 'classes'} ({shown})"


def _flat(configuration: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings with dotted keys instead of sections."""
    flat: dict[str, Any] = {}
    for key, value in configuration.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
