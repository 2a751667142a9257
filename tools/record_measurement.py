"""Writes a measured mAP into the record of weights, as the shipped ones carry it.

python tools/record_measurement.py runs/regions_voc/weights.safetensors out.json
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from incdet.console import notes, run_program
from incdet.data.coco import read_json
from incdet.errors import DataError
from incdet.networks.weights import load_record, read_tensors, save_weights


def main(
    weights: Annotated[Path, typer.Argument(help="Weights; the file is replaced by one with the longer record.")],
    numbers: Annotated[Path, typer.Argument(help="What tools/eval_map.py --json wrote for these weights.")],
) -> None:
    """Add `"<data set> mAP": value` to what the record says was measured; the tensors stay as they are."""
    measured = read_json(numbers)
    if not {"dataset", "mAP"} <= measured.keys():
        raise DataError(f"{numbers} has no 'dataset' and 'mAP'; expected what tools/eval_map.py --json writes")
    record = load_record(weights)
    entry = {f"{measured['dataset']} mAP": round(measured["mAP"], 4)}
    longer = record.model_copy(update={"measured": record.measured | entry})
    save_weights(weights, read_tensors(weights), longer, torch.float16)
    notes.print(f"{weights}: {longer.measured}", markup=False)


if __name__ == "__main__":
    run_program(main)
