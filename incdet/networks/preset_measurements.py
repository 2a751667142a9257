"""What was measured with each preset, mAP and seconds a photo: a file beside the shipped weights.

A measurement belongs to the settings and to the weights with which it was made. Where either has changed since then, it
is not told any more. Settings that have been added since then do not count by themselves: one that brings another file
of weights is noticed by that.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from incdet.config.presets import PRESETS, PresetName
from incdet.config.sections import Config
from incdet.errors import PackageError, reason
from incdet.networks.chosen_weights import choose_weights
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import box_regressor_file
from incdet.runtime.file_hashes import named_hashes
from incdet.runtime.json_files import write_json

FILE = Path(__file__).resolve().parents[1] / "weights" / "presets.json"
"""The measurements that are shipped."""

_ARITHMETIC = ("batch_size", "engine", "precision")
"""Settings of scores that decide how numbers are rounded; a measurement tells its engine and precision itself."""


class PresetMeasurement(BaseModel):
    """One measurement of a preset.

    Attributes:
        dataset: Name of the data set and its split.
        mAP: Mean average precision under the rules of the data set.
        interval: Ends of the middle 95 % of mAP over resampled photos; None where it was not measured.
        num_images: Number of photos.
        engine: Library and precision of the networks.
        origin: Place where the measurement is described, or the date on which it was recorded.
        seconds: Seconds a photo; None where they were not measured.
        machine: Machine and photo of these seconds; None without them.
        settings: Settings that decide what is found, as `decisive_settings` gives them.
        weights: Name of each file of weights -> its SHA-256, box regressions included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    mAP: float = Field(ge=0, le=1)  # noqa: N815 (the name that everybody knows)
    interval: tuple[float, float] | None = None
    num_images: int = Field(ge=1)
    engine: str
    origin: str
    seconds: float | None = None
    machine: str | None = None
    settings: dict[str, Any]
    weights: dict[str, str]


def decisive_settings(config: Config) -> dict[str, Any]:
    """Returns the settings that decide mAP, in JSON's types: all but rounding, and what is shown to people."""
    values = config.model_dump(mode="json", include={"proposals", "scores", "detections"})
    for key in _ARITHMETIC:
        values["scores"].pop(key)
    values["detections"].pop("display_threshold")
    return values


def weights_of(config: Config) -> dict[str, str]:
    """Returns name -> SHA-256 of the shipped files that a configuration loads, without ranges for eight bits."""
    files = list(choose_weights((), None, False, config).all_files)
    if config.scores.box_deltas:
        files += [box_regressor_file(file) for file in files if box_regressor_file(file).exists()]
    if "multibox" in config.proposals.methods:
        files.append(find_weights(config.proposals.multibox.weights))
    return named_hashes(files)


def load_preset_measurements(file: Path = FILE) -> dict[PresetName, PresetMeasurement]:
    """Loads the measurements that hold for the presets and the weights of today.

    Args:
        file: File of the measurements; default those that are shipped.

    Raises:
        PackageError: The file is damaged.
    """
    found: dict[PresetName, PresetMeasurement] = {}
    for name, measurement in _read(file).items():
        config = Config(preset=name)
        if holds_for(measurement.settings, decisive_settings(config)) and measurement.weights == weights_of(config):
            found[name] = measurement
    return found


def holds_for(measured: Any, today: Any) -> bool:
    """Whether all settings of a measurement have the values of today; settings that came later do not count.

    >>> holds_for({"a": {"b": 1}}, {"a": {"b": 1, "new": None}}), holds_for({"a": {"b": 1}}, {"a": {"b": 2}})
    (True, False)
    """
    if not isinstance(measured, dict) or not isinstance(today, dict):
        return bool(measured == today)
    return all(key in today and holds_for(value, today[key]) for key, value in measured.items())


def save_preset_measurement(name: PresetName, measurement: PresetMeasurement, file: Path = FILE) -> None:
    """Writes the measurement of a preset, in place of an earlier one.

    Args:
        name: The preset.
        measurement: The measurement.
        file: File of the measurements; default those that are shipped.

    Raises:
        PackageError: The file is damaged.
        OutputError: The file cannot be written.
    """
    measurements = _read(file) | {name: measurement}
    write_json(file, {key: measurements[key].model_dump(mode="json") for key in PRESETS if key in measurements})


def _read(file: Path) -> dict[PresetName, PresetMeasurement]:
    """Returns all stored measurements; none where the file is missing."""
    if not file.exists():
        return {}
    try:
        stored = _StoredMeasurements.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise PackageError(f"cannot read {file}: {reason(error)}; install incdet again") from None
    return {name: getattr(stored, name) for name in PRESETS if getattr(stored, name) is not None}


class _StoredMeasurements(BaseModel):
    """The file: a measurement for each preset, or none."""

    model_config = ConfigDict(extra="forbid")

    paper: PresetMeasurement | None = None
    default: PresetMeasurement | None = None
    fast: PresetMeasurement | None = None
