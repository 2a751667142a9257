"""Top-1 and top-5 accuracy of imported ImageNet weights, centre crop, on photos named by their WordNet id.

python tools/eval_classification.py imagenet-sample --weights runs/imagenet.safetensors
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from incdet.classifier import center_crop
from incdet.console import notes, progress_bar, run_program
from incdet.device import choose_device
from incdet.errors import DataError
from incdet.evaluation.classification import top_k_accuracy
from incdet.images import find_images, read_image
from incdet.networks.weights import find_weights, load_network
from incdet.scores import classify_batch, prepare_network

BATCH = 32


def main(
    folder: Annotated[Path, typer.Argument(help="Photos whose file name begins with the WordNet id.")],
    weights: Annotated[str, typer.Option(help="Weights whose classes are WordNet ids; see tools/import_weights.py.")],
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Classify every photo from its centre crop and print the accuracy as JSON."""
    network, record = load_network(find_weights(weights))
    photos = find_images([folder])
    class_ids = [_class_id(photo, record.classes) for photo in photos]
    device = choose_device("auto")
    network = prepare_network(network, device, torch.float32)
    parts = []
    with progress_bar("photos", len(photos), quiet) as update:
        for start in range(0, len(photos), BATCH):
            crops = [center_crop(read_image(photo), record.preprocessing) for photo in photos[start : start + BATCH]]
            parts.append(classify_batch(torch.stack(crops).to(device), [network]).cpu().numpy())
            update(min(start + BATCH, len(photos)), "")
    probabilities, truth = np.concatenate(parts), np.array(class_ids)
    accuracies = {f"top_{k}": top_k_accuracy(probabilities, truth, k) for k in (1, 5)}
    notes.print(f"{len(photos)} photos: " + ", ".join(f"{key} {value:.1%}" for key, value in accuracies.items()))
    sys.stdout.write(json.dumps({"photos": len(photos), **accuracies}) + "\n")


def _class_id(photo: Path, classes: tuple[str, ...]) -> int:
    wordnet_id = photo.stem.split("_")[0]
    if wordnet_id not in classes:
        raise DataError(
            f"{photo}: '{wordnet_id}' is none of the weights' {len(classes)} classes; name photos by WordNet id"
        )
    return classes.index(wordnet_id)


if __name__ == "__main__":
    run_program(main)
