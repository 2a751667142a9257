"""Numbers of an evaluation -> the record of the weights that were evaluated."""

from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.errors import DataError
from incdet.networks.record_files import load_record
from incdet.runtime.json_files import read_json
from incdet.runtime.provenance import RUN_FILE


def record_measurement(weights: Path, numbers_file: Path) -> dict[str, float]:
    """Adds a data set's mAP or coverage to the record of weights; the tensors stay as they are.

    Args:
        weights: File of the weights, which is replaced by one with the longer record.
        numbers_file: File that `incdet evaluate --json` or `incdet coverage --json` wrote.

    Returns:
        Everything that the record now says was measured.

    Raises:
        DataError: The file of numbers has no mAP and no coverage.
        WeightsError: The weights cannot be read.
    """
    numbers = read_json(
        numbers_file, "the numbers", "give a file that incdet evaluate or incdet coverage wrote with --json"
    )
    what, value = _measurement(numbers if isinstance(numbers, dict) else {}, numbers_file)
    record = load_record(weights)
    measured = record.measured | {what: round(value, 4)}
    # torch is loaded once both files are known to be right
    from incdet.networks.weights import read_checked_tensors, save_weights

    save_weights(weights, read_checked_tensors(weights, record), record.model_copy(update={"measured": measured}))
    return measured


class PresetTimes(NamedTuple):
    """Seconds of presets on a machine.

    Attributes:
        file: File that `incdet info --presets --time PHOTO --json` printed.
        machine: The machine and the photo, in words.
    """

    file: Path
    machine: str


def record_preset(run: Path, numbers_file: Path, times: PresetTimes | None = None, file: Path | None = None) -> str:
    """Writes the mAP of a preset into the file of measurements, in place of an earlier one.

    Args:
        run: Folder of the evaluation, whose `run.json` names the preset.
        numbers_file: File that `incdet evaluate --json` wrote in the same run.
        times: Seconds of the preset; None leaves them out.
        file: File of the measurements; None is the one beside the shipped weights.

    Returns:
        One sentence that tells what was recorded.

    Raises:
        DataError: The folder or the numbers are not those of an evaluation of a preset as it is, or the seconds are
            missing.
        OutputError: The file cannot be written.
    """
    from incdet.networks.preset_measurements import (
        FILE,
        PresetMeasurement,
        decisive_settings,
        save_preset_measurement,
        weights_of,
    )

    advice = "give the folder of incdet evaluate --preset NAME --output FOLDER"
    description = read_json(run / RUN_FILE, "the description of the evaluation", advice)
    numbers = read_json(numbers_file, "the numbers", "give the file that incdet evaluate wrote with --json")
    if not isinstance(description, dict) or "configuration" not in description or not isinstance(numbers, dict):
        raise DataError(f"{run / RUN_FILE} describes no evaluation of a detector; {advice}")
    config = make_config(Config, description["configuration"], str(run / RUN_FILE))
    preset = Config(preset=config.preset)
    if decisive_settings(config) != decisive_settings(preset):
        raise DataError(f"{run} was made with other settings than those of the preset {preset.preset}; {advice}")
    weights = weights_of(preset)
    if not weights.items() <= dict(description["weights"]).items():
        raise DataError(f"{run} was made with other weights than those of the preset {preset.preset}; {advice}")
    try:
        mean, ends = float(numbers["mAP"]), [float(end) for end in numbers.get("interval", ())]
        dataset, num_images = str(numbers["dataset"]), int(numbers["num_images"])
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{numbers_file} has no 'mAP' of a data set as a number; give the file that incdet evaluate wrote"
        ) from None
    if numbers.get("rules") == "coco":
        raise DataError(
            f"{numbers_file} has the mAP of COCO's rules, and presets are recorded with that at IoU 0.5; evaluate with "
            "other --rules"
        )
    seconds, machine = (None, None) if times is None else _time_of(preset.preset, times)
    measurement = PresetMeasurement(
        dataset=dataset,
        mAP=round(mean, 4),
        interval=tuple(round(end, 4) for end in ends) if ends else None,
        num_images=num_images,
        engine=description["engine"],
        origin=f"recorded on {date.today()}",
        seconds=seconds,
        machine=machine,
        settings=decisive_settings(preset),
        weights=weights,
    )
    save_preset_measurement(preset.preset, measurement, file or FILE)
    return f"{preset.preset}: mAP {measurement.mAP:.3f} on {measurement.dataset}, {measurement.engine}"


def _time_of(preset: str, times: PresetTimes) -> tuple[float, str]:
    """Returns the seconds of a preset, and their machine with what computed the networks."""
    advice = "give the file that incdet info --presets --time PHOTO --json printed"
    stored = read_json(times.file, "the seconds", advice)
    try:
        here = stored[preset]["here"]
        return round(float(here["seconds"]), 3), f"{times.machine}, {here['engine']}"
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{times.file} has no seconds of the preset {preset}; {advice}") from None


def _measurement(numbers: dict[str, Any], numbers_file: Path) -> tuple[str, float]:
    """What was measured on which data set, and its value."""
    if {"dataset", "mAP"} <= numbers.keys():
        # COCO's rules ask for another IoU, so that their mAP is no other measurement of the same
        what, value = "mAP, COCO's rules" if numbers.get("rules") == "coco" else "mAP", numbers["mAP"]
    elif {"dataset", "coverage", "proposals_per_image"} <= numbers.keys():
        if not isinstance(numbers["proposals_per_image"], int | float):
            raise DataError(f"{numbers_file} has no number of proposals_per_image; measure the coverage again")
        what, value = f"coverage of {numbers['proposals_per_image']:.0f} boxes, IoU 0.5", numbers["coverage"]
    else:
        raise DataError(
            f"{numbers_file} has neither 'mAP' nor 'coverage' of a data set; give a file that incdet evaluate or "
            "incdet coverage wrote with --json"
        )
    if not isinstance(value, int | float):
        raise DataError(f"{numbers_file} has no number for its {what} ({value}); measure where there are objects")
    return f"{numbers['dataset']} {what}", value
