"""MultiBox as a proposer: the network's boxes, cut at the image's border, near-duplicates removed, best first."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from incdet.config.sections import MultiBoxConfig
from incdet.networks.multibox import MultiBox
from incdet.networks.weights import Preprocessing, find_weights, load_multibox
from incdet.ops.nms import nms
from incdet.proposers.photo_crops import Part, PhotoCropper, list_photo_crops
from incdet.runtime.device import choose_precision
from incdet.structures import Image, Proposals

SOURCE = "multibox"

VERSION = 2
"""Counted up whenever the same weights give other boxes: stored proposals of another version are not used."""

CPU_BATCH, GPU_BATCH = 8, 64
"""Parts at a time: more need more memory, and on a CPU are slower."""

CUT = 0.02
"""A box that ends so close to the border of a part, in shares of it, is that of a cut object."""


class MultiBoxProposer:
    """A trained network, loaded once.

    Attributes:
        file: of the weights.

    Raises:
        WeightsError: the weights are missing, damaged or name classes.
    """

    def __init__(self, config: MultiBoxConfig, device: torch.device):
        file = find_weights(config.weights)
        self.config, self.file = config, file
        network, record = load_multibox(file)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.preprocessing = record.preprocessing
        self.device, self.precision = device, choose_precision("auto", device)
        self.photo_cropper = PhotoCropper(self.preprocessing.size, config.crop_sides)

    def __call__(self, image: Image, photo_crops: np.ndarray | None = None) -> Proposals:
        """The best boxes of a photo, best first.

        Args:
            image: the photo.
            photo_crops: what `photo_cropper` makes of it, where that is known.
        """
        if photo_crops is None:
            photo_crops = self.photo_cropper(image)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return propose_boxes([image], self.network, self.preprocessing, self.config, [photo_crops])[0]


def propose_boxes(
    images: Sequence[Image],
    network: MultiBox,
    preprocessing: Preprocessing,
    config: MultiBoxConfig,
    photo_crops: Sequence[np.ndarray] | None = None,
) -> list[Proposals]:
    """The best boxes of several photos.

    Args:
        images: the photos.
        network: in evaluation mode.
        preprocessing: that it was trained with.
        config: how many boxes, and of which parts of the photos.
        photo_crops: what a `PhotoCropper` makes of each photo; None is made here.
    """
    if photo_crops is None:
        photo_crops = [PhotoCropper(preprocessing.size, config.crop_sides)(image) for image in images]
    device = network.get_buffer("priors").device
    inputs = torch.from_numpy(np.concatenate(photo_crops))
    batches = torch.split(inputs, CPU_BATCH if device.type == "cpu" else GPU_BATCH)
    outputs = [predict_boxes(network, preprocessing.apply(batch.to(device))) for batch in batches]
    boxes, scores = (torch.cat(column) for column in zip(*outputs, strict=True))
    proposals, start = [], 0
    for image in images:
        parts = list_photo_crops(image, config.crop_sides)
        placed = [_place(part, boxes[row], scores[row], image) for row, part in enumerate(parts, start)]
        columns = zip(*placed, strict=True)
        proposals.append(_best(torch.cat(next(columns)), torch.cat(next(columns)), config))
        start += len(parts)
    return proposals


@torch.inference_mode()
def predict_boxes(network: MultiBox, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs [B, 3, S, S] -> boxes [B, P, 4] in shares of the image, cut at its border, and confidences [B, P]."""
    outputs = network(inputs.contiguous(memory_format=torch.channels_last))
    return network.decode(outputs.offsets).clamp(0, 1).cpu(), outputs.logits.float().sigmoid().cpu()


def _place(part: Part, boxes: Tensor, scores: Tensor, whole: Image) -> tuple[Tensor, Tensor]:
    """Boxes [P, 4] in shares of the part -> in pixels of the photo, without those that the part's border cuts."""
    pixels = boxes * torch.tensor([part.width, part.height] * 2) + torch.tensor([part.left, part.top] * 2)
    # where the part ends and the photo does not, objects are cut
    inner = torch.tensor([
        part.left > 0, part.top > 0, part.left + part.width < whole.width, part.top + part.height < whole.height,
    ])  # fmt: skip
    at_border = torch.cat([boxes[:, :2] < CUT, boxes[:, 2:] > 1 - CUT], dim=1)
    solid = (pixels[:, 2:] > pixels[:, :2]).all(dim=1)
    kept = solid & ~(at_border & inner).any(dim=1)
    return pixels[kept], scores[kept]


def _best(boxes: Tensor, scores: Tensor, config: MultiBoxConfig) -> Proposals:
    order = scores.argsort(descending=True, stable=True)
    kept = order[nms(boxes[order].numpy(), config.iou_threshold, config.limit)]
    return Proposals(boxes[kept].numpy(), scores[kept].numpy(), np.full(len(kept), SOURCE))
