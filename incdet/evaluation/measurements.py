"""Numbers of an evaluation -> the record of the weights that were evaluated."""

from pathlib import Path
from typing import Any

from incdet.errors import DataError
from incdet.networks.record_files import load_record
from incdet.runtime.json_files import read_json


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


def _measurement(numbers: dict[str, Any], numbers_file: Path) -> tuple[str, float]:
    """What was measured on which data set, and its value."""
    if {"dataset", "mAP"} <= numbers.keys():
        what, value = "mAP", numbers["mAP"]
    elif {"dataset", "coverage", "proposals_per_image"} <= numbers.keys():
        what, value = f"coverage of {numbers['proposals_per_image']:.0f} boxes, IoU 0.5", numbers["coverage"]
    else:
        raise DataError(
            f"{numbers_file} has neither 'mAP' nor 'coverage' of a data set; give a file that incdet evaluate or "
            "incdet coverage wrote with --json"
        )
    if not isinstance(value, int | float):
        raise DataError(f"{numbers_file} has no number for its {what} ({value}); measure where there are objects")
    return f"{numbers['dataset']} {what}", value
