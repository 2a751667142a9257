"""Detections of ILSVRC's classes -> the same with VOC's names, so that weights of 200 classes are judged on VOC.

    incdet detect VOC2012/JPEGImages/*.jpg --weights ilsvrc200 --score-threshold 0.01 --save json --output found
    python experiments/rename_detections.py found/detections.jsonl voc.jsonl
    incdet evaluate --dataset voc --root VOC2012 --split val --predictions voc.jsonl --output runs/voc
    python experiments/class_groups.py runs/voc

Detections of classes that VOC has not are left out. VOC's "bottle" and "pottedplant" get none.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.console import run_program
from incdet.data.ilsvrc_classes import VOC_NAMES
from incdet.data.voc import VOC_CLASSES
from incdet.runtime.files import write_text


def main(
    predictions: Annotated[Path, typer.Argument(help="detections.jsonl of ILSVRC's classes.")],
    output: Annotated[Path, typer.Argument(help="The new file.")],
) -> None:
    """Writes the file."""
    names = {ilsvrc: voc for voc, ilsvrc in VOC_NAMES.items()}
    lines = []
    for text in predictions.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        kept = []
        for detection in line["detections"]:
            if detection["label"] in names:
                name = names[detection["label"]]
                kept.append({**detection, "label": name, "class_id": VOC_CLASSES.index(name)})
        # the checksum of a line is of its old text
        line.pop("crc32", None)
        lines.append(json.dumps({**line, "detections": kept}) + "\n")
    write_text(output, "".join(lines))


if __name__ == "__main__":
    run_program(main)
