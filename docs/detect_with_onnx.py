"""Detection with ONNX Runtime and incdet's proposals, without torch: the crops of R-CNN in some 60 lines.

Run `incdet export --weights googlenet-voc --output exported` first, then
`python docs/detect_with_onnx.py exported photo.jpg`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import PIL.Image

from incdet.config.sections import ProposalsConfig
from incdet.images import read_image
from incdet.ops.boxes import apply_box_deltas
from incdet.ops.nms import nms_by_class
from incdet.proposals import propose

NUM_PROPOSALS, BATCH, MIN_PROBABILITY, IOU = 150, 16, 0.55, 0.3


def cut_crops(pixels: np.ndarray, boxes: np.ndarray, size: int, network: dict[str, Any]) -> np.ndarray:
    """Returns preprocessed crops [R, 3, S, S] float32: each box with its surroundings, warped to a square."""
    preparation = network["preprocessing"]
    mean = np.array(preparation["mean"], np.float32)
    photo = PIL.Image.fromarray(pixels)
    crops = []
    for low, high in zip(boxes[:, :2], boxes[:, 2:], strict=True):
        # enlarged so that the box fills all but the context on every side of the crop
        half = (high - low) / 2 * size / (size - 2 * preparation["context"])
        centre = (low + high) / 2
        corners = (*(centre - half), *(centre + half))
        crop = np.asarray(
            photo.transform((size, size), PIL.Image.Transform.EXTENT, corners, PIL.Image.Resampling.BILINEAR)
        )
        inside = PIL.Image.new("L", photo.size, 1).transform((size, size), PIL.Image.Transform.EXTENT, corners)
        # outside the photo a crop holds the mean colour, zero after the mean is subtracted
        crops.append((crop - mean) * np.asarray(inside)[:, :, None] * preparation["scale"])
    return np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32)


def detect(folder: Path, photo: str) -> list[tuple[str, float, list[float]]]:
    """Returns class, probability and box of every object that is found."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (network,) = manifest["networks"]
    session = onnxruntime.InferenceSession(str(folder / network["file"]), providers=["CPUExecutionProvider"])
    image = read_image(photo)
    config = ProposalsConfig(methods=("selective_search",), limit=NUM_PROPOSALS)
    boxes = propose(image, config).boxes
    size = network["input"]["shape"][-1]
    rows = []
    for start in range(0, len(boxes), BATCH):
        crops = cut_crops(image.pixels, boxes[start : start + BATCH], size, network)
        rows.append(session.run(None, {session.get_inputs()[0].name: crops}))
    # background, the last column, is no class
    probabilities = np.concatenate([outputs[0] for outputs in rows])[:, : len(network["classes"])]
    if "box_deltas" in network["outputs"]:
        boxes = apply_box_deltas(boxes, np.concatenate([outputs[1] for outputs in rows]), image.width, image.height)
    regions, class_ids = np.nonzero(probabilities >= MIN_PROBABILITY)
    order = np.argsort(-probabilities[regions, class_ids], kind="stable")
    regions, class_ids = regions[order], class_ids[order]
    kept = nms_by_class(boxes[regions], class_ids, IOU)
    pairs = zip(regions[kept].tolist(), class_ids[kept].tolist(), strict=True)
    return [(network["classes"][c], float(probabilities[r, c]), boxes[r].tolist()) for r, c in pairs]


if __name__ == "__main__":
    for label, probability, box in detect(Path(sys.argv[1]), sys.argv[2]):
        print(label, round(probability, 3), [round(value, 1) for value in box])
