"""MultiBox as a proposer: the network's boxes, cut at the image's border, near-duplicates removed, best first."""

from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from incdet.networks.multibox import MultiBox
from incdet.networks.weights import Preprocessing
from incdet.structures import Image, Proposals

SOURCE = "multibox"


def squeeze(image: Image, preprocessing: Preprocessing) -> Tensor:
    """The whole photo, squeezed into the network's square: [3, size, size] float32, preprocessed."""
    side = (preprocessing.size, preprocessing.size)
    # Pillow's filter widens when it shrinks, so small objects do not fall between the samples
    pixels = np.array(PIL.Image.fromarray(image.pixels).resize(side, PIL.Image.Resampling.BILINEAR))
    return preprocessing.apply(torch.from_numpy(pixels)[None])[0]


@torch.inference_mode()
def propose_batch(
    network: MultiBox, inputs: Tensor, iou_threshold: float, limit: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The best boxes of every image of a batch.

    Args:
        network: in evaluation mode.
        inputs: [B, 3, S, S], preprocessed.
        iou_threshold: a box that overlaps a better one by more is left out.
        limit: so many boxes at most.

    Yields:
        Per image boxes [N, 4] in shares of the image, and confidences [N], descending, both float32 on the CPU.
    """
    outputs = network(inputs.to(memory_format=torch.channels_last))
    boxes = network.decode(outputs.offsets).clamp(0, 1).cpu()
    scores = outputs.logits.float().sigmoid().cpu()
    for image_boxes, image_scores in zip(boxes, scores, strict=True):
        solid = ((image_boxes[:, 2:] - image_boxes[:, :2]) > 0).all(dim=1)
        image_boxes, image_scores = image_boxes[solid], image_scores[solid]
        same = torch.zeros(len(image_boxes), dtype=torch.int64)
        kept = batched_nms(image_boxes, image_scores, same, iou_threshold)[:limit]
        yield image_boxes[kept], image_scores[kept]


def to_proposals(found: tuple[Tensor, Tensor], image: Image) -> Proposals:
    """Boxes in shares of the image -> proposals in its pixels."""
    boxes, scores = (part.numpy() for part in found)
    pixels = boxes * np.array([image.width, image.height] * 2, np.float32)
    return Proposals(pixels.astype(np.float32), scores.astype(np.float32), np.full(len(boxes), SOURCE))


def propose_all(
    images: Sequence[Image], network: MultiBox, preprocessing: Preprocessing, iou_threshold: float, limit: int
) -> list[Proposals]:
    """Proposals of several photos, computed as one batch."""
    device = network.get_buffer("priors").device
    inputs = torch.stack([squeeze(image, preprocessing) for image in images]).to(device)
    found = propose_batch(network, inputs, iou_threshold, limit)
    return [to_proposals(part, image) for part, image in zip(found, images, strict=True)]
