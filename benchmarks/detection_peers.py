"""What a user would take instead of incdet: R-CNN's loop as textbooks have it, and torchvision's detectors."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
import torchvision
from torchvision.ops import batched_nms
from torchvision.transforms import v2

from incdet.config.sections import SelectiveSearchConfig
from incdet.images import read_image
from incdet.proposers.selective_search import propose
from incdet.runtime.stopwatch import Stopwatch

TEXTBOOK = "textbook loop"
TORCHVISION_DETECTORS = ("fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_resnet50_fpn")
BATCH = 32
NUM_CLASSES = 20


class PhotoSeconds(NamedTuple):
    """What a contender needed for a photo: seconds per stage, and the number of regions that it classified."""

    stages: Mapping[str, float]
    regions: int


Contender = Callable[[Path], PhotoSeconds]


def make_peer(name: str, device: torch.device) -> Contender:
    """A peer by name; its weights are random, since only time is measured."""
    return _textbook_loop(device) if name == TEXTBOOK else _torchvision_detector(name, device)


def _textbook_loop(device: torch.device) -> Contender:
    """OpenCV's selective search with R-CNN's settings, crops one by one, torchvision's GoogLeNet in batches of 32."""
    search = SelectiveSearchConfig(engine="opencv", superpixel_scale=1.0)
    network = torchvision.models.googlenet(num_classes=NUM_CLASSES + 1, aux_logits=False, init_weights=False)
    network.to(device).eval()
    warp = v2.Compose([
        v2.Resize((224, 224)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])  # fmt: skip

    @torch.inference_mode()
    def run(photo: Path) -> PhotoSeconds:
        watch = Stopwatch({"read": 0.0, "proposals": 0.0, "regions": 0.0, "scores": 0.0})
        with watch.stage("read"):
            image = read_image(photo)
            picture = PIL.Image.fromarray(image.pixels)
        with watch.stage("proposals"):
            boxes = propose(image, search).boxes
        parts = []
        for start in range(0, len(boxes), BATCH):
            with watch.stage("regions"):
                crops = [warp(picture.crop(tuple(box))) for box in boxes[start : start + BATCH].round().tolist()]
                batch = torch.stack(crops).to(device)
            with watch.stage("scores"):
                parts.append(network(batch).softmax(dim=1)[:, :NUM_CLASSES].cpu())
        with watch.stage("detections"):
            scores = torch.cat(parts)
            rows, labels = (scores > 0.01).nonzero(as_tuple=True)
            batched_nms(torch.from_numpy(np.asarray(boxes))[rows], scores[rows, labels], labels, 0.3)
        return PhotoSeconds(watch.seconds, len(boxes))

    return run


def _torchvision_detector(name: str, device: torch.device) -> Contender:
    network = getattr(torchvision.models.detection, name)(
        weights=None, weights_backbone=None, num_classes=NUM_CLASSES + 1
    )
    network.to(device).eval()

    @torch.inference_mode()
    def run(photo: Path) -> PhotoSeconds:
        started = time.perf_counter()
        pixels = torch.from_numpy(read_image(photo).pixels).permute(2, 0, 1).float() / 255
        network([pixels.to(device)])[0]["boxes"].cpu()
        return PhotoSeconds({"total": time.perf_counter() - started}, 0)

    return run
