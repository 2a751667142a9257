"""Top-1 and top-5 accuracy of ImageNet weights, centre crop, on photos named by their WordNet id.

python tools/eval_classification.py --root imagenet-sample --weights runs/imagenet.safetensors
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from incdet.classifier import center_crop
from incdet.console import progress_bar, run_program
from incdet.device import choose_device
from incdet.errors import DataError
from incdet.evaluation.classification import top_k_accuracy
from incdet.images import find_images, read_image
from incdet.networks.weights import find_weights, load_network
from incdet.scores import classify_batch, prepare_network
from incdet.storage import write_text

BATCH = 32


def main(
    root: Annotated[Path, typer.Option(help="Folder of photos named by their WordNet id: n01440764.jpg.")],
    weights: Annotated[str, typer.Option(help="Weights whose classes are WordNet ids; see tools/import_weights.py.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here too.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Classify every photo from its centre crop and print the accuracy as one line of JSON."""
    network, record = load_network(find_weights(weights))
    photos = find_images([root])
    class_ids = np.array([_class_id(photo, record.classes) for photo in photos])
    device = choose_device("auto")
    network = prepare_network(network, device, torch.float32)
    parts = []
    with progress_bar("photos", len(photos), quiet) as update:
        for start in range(0, len(photos), BATCH):
            crops = [center_crop(read_image(photo), record.preprocessing) for photo in photos[start : start + BATCH]]
            parts.append(classify_batch(torch.stack(crops).to(device), [network]).cpu().numpy())
            update(min(start + BATCH, len(photos)), "")
    probabilities = np.concatenate(parts)
    numbers = {f"top{k}": round(top_k_accuracy(probabilities, class_ids, k), 6) for k in (1, 5)}
    text = json.dumps({**numbers, "num_images": len(photos), "crops": 1}) + "\n"
    if json_file is not None:
        write_text(json_file, text)
    print(text, end="")


def _class_id(photo: Path, classes: tuple[str, ...]) -> int:
    wordnet_id = photo.stem.split("_")[0]
    if wordnet_id not in classes:
        raise DataError(
            f"{photo}: '{wordnet_id}' is none of the weights' {len(classes)} classes; name photos by their WordNet id"
        )
    return classes.index(wordnet_id)


if __name__ == "__main__":
    run_program(main)
