r"""Photos of ILSVRC DET as a data set of VOC's classes: photos that a detector which learnt from VOC has never seen.

    python experiments/ilsvrc_as_voc.py --root ILSVRC --split val1-here --split val2-here --output clean
    incdet evaluate --dataset coco --rules voc --root clean --split all --config clean/detector.yaml --each-network

19 of VOC's classes have classes of ILSVRC that mean the same; see `display_thresholds.py`. The folder has COCO's
layout. The file of settings in it names these classes, because nothing says whether detections of the other one
(diningtable) are right. Photos without an object of these classes stay: what is found in them is wrong.
"""

import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from display_thresholds import SAME_CLASSES, with_classes_of_voc

from incdet.cli.console import notes, run_program, warning
from incdet.data.collection import Collection
from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.data.voc import VOC_CLASSES
from incdet.ops.boxes import boxes_to_xywh
from incdet.runtime.files import write_text
from incdet.runtime.json_files import json_text


def main(
    root: Annotated[Path, typer.Option(help="Folder of ILSVRC DET, in its official layout.")],
    splits: Annotated[list[str], typer.Option("--split", help="Photos that are taken; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder of the new data set; files there are replaced.")],
) -> None:
    """Writes the photos and their objects."""
    parts = [with_classes_of_voc(read_dataset(Collection.ilsvrc, root, split, warn=warning)) for split in splits]
    document = coco_document(parts)
    (output / "images").mkdir(parents=True, exist_ok=True)
    for path in (path for part in parts for path in part.image_paths):
        shutil.copyfile(path, output / "images" / path.name)
    (output / "annotations").mkdir(exist_ok=True)
    write_text(output / "annotations" / "instances_all.json", json_text(document))
    known = [name for name in VOC_CLASSES if name in SAME_CLASSES.values()]
    write_text(output / "detector.yaml", yaml.safe_dump({"detections": {"classes": known}}))
    notes.print(f"wrote {output}: {len(document['images'])} photos, {len(document['annotations'])} objects")


def coco_document(parts: list[Dataset]) -> dict[str, Any]:
    """Returns photos of several data sets of VOC's classes, and their objects, as a COCO document."""
    document: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(VOC_CLASSES, 1)],
    }
    for part in parts:
        for path, truth in zip(part.image_paths, part.ground_truths, strict=True):
            image_id = len(document["images"]) + 1
            size = {"width": truth.width, "height": truth.height}
            document["images"].append({"id": image_id, "file_name": path.name} | size)
            for box, class_id in zip(boxes_to_xywh(truth.boxes).tolist(), truth.class_ids, strict=True):
                entry = {"id": len(document["annotations"]) + 1, "image_id": image_id, "bbox": box, "iscrowd": 0}
                entry |= {"category_id": int(class_id) + 1, "area": float(np.prod(box[2:]))}
                document["annotations"].append(entry)
    return document


if __name__ == "__main__":
    run_program(main)
