"""Writes a measured mAP or coverage into the record of weights, as the shipped ones carry it.

python tools/record_measurement.py runs/regions_voc/weights.safetensors out.json
"""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.console import notes, run_program
from incdet.errors import DataError
from incdet.networks.weights import load_record, read_tensors, save_weights
from incdet.runtime.json_files import read_json


def main(
    weights: Annotated[Path, typer.Argument(help="Weights; the file is replaced by one with the longer record.")],
    numbers: Annotated[
        Path, typer.Argument(help="What tools/eval_map.py or proposal_coverage.py --json wrote for these weights.")
    ],
) -> None:
    """Add a data set's mAP or coverage to what the record says was measured; the tensors stay as they are."""
    measured = read_json(numbers)
    measured = measured if isinstance(measured, dict) else {}
    if {"dataset", "mAP"} <= measured.keys():
        what, value = "mAP", measured["mAP"]
    elif {"dataset", "coverage", "proposals_per_image"} <= measured.keys():
        what, value = f"coverage of {measured['proposals_per_image']:.0f} boxes, IoU 0.5", measured["coverage"]
    else:
        raise DataError(
            f"{numbers} has neither 'mAP' nor 'coverage' of a data set; expected what tools/eval_map.py or "
            "tools/proposal_coverage.py write with --json"
        )
    if not isinstance(value, int | float):
        raise DataError(f"{numbers} has no number for its {what} ({value}); measure where there are objects")
    record = load_record(weights)
    longer = record.model_copy(
        update={"measured": record.measured | {f"{measured['dataset']} {what}": round(value, 4)}}
    )
    save_weights(weights, read_tensors(weights), longer)
    notes.print(f"{weights}: {longer.measured}", markup=False)


if __name__ == "__main__":
    run_program(main)
