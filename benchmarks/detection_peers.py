"""What a user would take instead of incdet: R-CNN's loop as textbooks have it, and torchvision's detectors."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
import torchvision
from torchvision.ops import batched_nms
from torchvision.transforms import v2

from incdet.config.loading import load_config
from incdet.config.sections import Config, SelectiveSearchConfig
from incdet.images import read_image
from incdet.proposals import Proposers
from incdet.proposers.selective_search import propose
from incdet.runtime.device import choose_device
from incdet.runtime.stopwatch import Stopwatch
from incdet.structures import Image

TEXTBOOK = "textbook loop"
TORCHVISION_DETECTORS = ("fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_resnet50_fpn")
BATCH = 32
NUM_CLASSES = 20


class PhotoSeconds(NamedTuple):
    """What a contender needed for a photo.

    Attributes:
        stages: seconds of each stage.
        regions: number of regions that it classified.
        multiply_adds: number of multiply-adds of some of the stages; None where they are not counted.
    """

    stages: Mapping[str, float]
    regions: int
    multiply_adds: Mapping[str, int] | None = None


Contender = Callable[[Path], PhotoSeconds]


def make_peer(name: str, device: torch.device) -> Contender:
    """A peer by name; its weights are random, since only time is measured."""
    if name != TEXTBOOK:
        return make_torchvision_detector(name, device, torch.float32)
    # R-CNN's settings
    search = SelectiveSearchConfig(engine="opencv", superpixel_scale=1.0)
    return _textbook_loop(device, lambda image: propose(image, search).boxes)


def make_textbook_loop(settings: Sequence[str]) -> Contender:
    """The textbook loop on the proposals that incdet's detector has with these settings `dotted.key=value`."""
    config = load_config(Config, settings=settings)
    proposers = Proposers(config.proposals, config.device, scores=config.scores)
    return _textbook_loop(choose_device(config.device), lambda image: proposers(image).boxes)


def _textbook_loop(device: torch.device, find_boxes: Callable[[Image], np.ndarray]) -> Contender:
    """Crops one by one, and torchvision's GoogLeNet in batches of 32."""
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
            boxes = find_boxes(image)
            # whole pixels, at least one of them
            corners = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).tolist()
        parts = []
        for start in range(0, len(boxes), BATCH):
            with watch.stage("regions"):
                crops = [warp(picture.crop(tuple(box))) for box in corners[start : start + BATCH]]
                batch = torch.stack(crops).to(device)
            with watch.stage("scores"):
                parts.append(network(batch).softmax(dim=1)[:, :NUM_CLASSES].cpu())
        with watch.stage("detections"):
            scores = torch.cat(parts)
            rows, labels = (scores > 0.01).nonzero(as_tuple=True)
            batched_nms(torch.from_numpy(np.asarray(boxes))[rows], scores[rows, labels], labels, 0.3)
        return PhotoSeconds(watch.seconds, len(boxes))

    return run


def make_torchvision_detector(name: str, device: torch.device, precision: torch.dtype) -> Contender:
    """One of torchvision's detectors as released, but for random weights, which cost the same arithmetic.

    With random weights the region proposal network keeps as many boxes as the released settings allow (1000, and 150
    of `fasterrcnn_mobilenet_v3_large_320_fpn`), so that the rest of the network computes as much as for real photos.
    No box may reach the score threshold, because random weights would let thousands pass; suppressing overlapping
    detections costs the released detectors a little more than what is measured here.

    Args:
        name: name of the function in `torchvision.models.detection`.
        device: the device that computes.
        precision: torch.float32 as released, or torch.bfloat16 by autocast.
    """
    network = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None, box_score_thresh=0.99)
    network.to(device).eval()
    num_boxes: list[int] = []

    def keep_number(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        # the second input of the heads holds the boxes of each photo
        num_boxes.append(len(inputs[1][0]))

    network.roi_heads.register_forward_pre_hook(keep_number)

    @torch.inference_mode()
    def run(photo: Path) -> PhotoSeconds:
        started = time.perf_counter()
        pixels = torch.from_numpy(read_image(photo).pixels).permute(2, 0, 1).float() / 255
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
            network([pixels.to(device)])[0]["boxes"].cpu()
        return PhotoSeconds({"total": time.perf_counter() - started}, num_boxes[-1])

    return run
