"""Share of photos of one class each whose best detections name it: top-1 and top-5 of a detector.

    incdet detect ilsvrc200/*/*.jpg --weights ilsvrc200 --score-threshold 0.01 --save json --output found
    python experiments/name_class_photos.py found/detections.jsonl

Photos lie in folders with the classes' WordNet ids. Each class counts by its best detection in the photo.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.console import notes, run_program
from incdet.data.ilsvrc_classes import ilsvrc_classes


def main(predictions: Annotated[Path, typer.Argument(help="detections.jsonl of the photos.")]) -> None:
    """Prints both shares."""
    names = {kind.wordnet_id: kind.name for kind in ilsvrc_classes()}
    ranks = []
    for text in predictions.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        # detections are sorted by score, so the first of each class is its best
        labels = list(dict.fromkeys(detection["label"] for detection in line["detections"]))
        name = names[Path(line["image"]).parent.name]
        ranks.append(labels.index(name) if name in labels else len(names))
    top1, top5 = (sum(rank < limit for rank in ranks) / len(ranks) for limit in (1, 5))
    notes.print(f"{len(ranks)} photos: top-1 {top1:.3f}, top-5 {top5:.3f}", markup=False)


if __name__ == "__main__":
    run_program(main)
