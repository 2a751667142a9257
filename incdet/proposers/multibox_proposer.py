"""MultiBox as a proposer: the network's boxes on multi-scale crops of a photo, best first, without near-duplicates.

The network is that of Erhan et al. 2014; the crops are those of Szegedy et al. 2014 (MSC-MultiBox).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from incdet.config.sections import MultiBoxConfig
from incdet.networks.finite_outputs import require_finite
from incdet.networks.multibox import MultiBox
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_multibox
from incdet.networks.weights_record import Preprocessing
from incdet.ops.nms import nms
from incdet.proposers.photo_crops import PhotoCrop, PhotoCropper, list_photo_crops
from incdet.runtime.device import choose_precision
from incdet.structures import Image, Proposals

SOURCE = "multibox"

VERSION = 2
"""Counted up whenever the same weights give other boxes: stored proposals of another version are not used."""

CPU_BATCH_SIZE, GPU_BATCH_SIZE = 8, 64
"""Number of photo crops that pass the network at a time: more need more memory, and are slower on a CPU."""

BORDER_MARGIN = 0.02
"""Distance to the border of a crop, as a fraction of the crop's side, below which a box ends at that border."""


class MultiBoxProposer:
    """A trained MultiBox, loaded once, that proposes boxes in photos.

    Args:
        config: the weights, the scales of the crops, and the number of boxes.
        device: the device that computes the network.

    Attributes:
        config: the configuration, as given.
        files: the file of the weights.
        network: MultiBox in evaluation mode, on the device.
        preprocessing: mean, scale and size of the crops that the network was trained with.
        precision: the type in which the network computes.
        photo_cropper: cuts the photo crops that the network sees, which another process can do ahead.

    Raises:
        WeightsError: the weights are missing or damaged, or are those of a classifier.
    """

    def __init__(self, config: MultiBoxConfig, device: torch.device):
        self.config = config
        file = find_weights(config.weights)
        network, record = load_multibox(file)
        self.files = (file,)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.preprocessing = record.preprocessing
        self.device, self.precision = device, choose_precision("auto", device)
        self.photo_cropper = PhotoCropper(self.preprocessing.size, config.crop_sides)

    def __call__(self, image: Image, photo_crops: np.ndarray | None = None) -> Proposals:
        """The best boxes of a photo, best first.

        Args:
            image: the photo.
            photo_crops: [K, S, S, 3] uint8, the crops that `photo_cropper` has cut already; None cuts them now.
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
    """The best boxes of several photos, best first.

    Args:
        images: the photos.
        network: MultiBox in evaluation mode.
        preprocessing: mean, scale and size of the crops that the network was trained with.
        config: the scales of the crops, and the number of boxes.
        photo_crops: crops [K, S, S, 3] uint8 of each photo that a `PhotoCropper` has cut already; None cuts them now.
    """
    if photo_crops is None:
        cropper = PhotoCropper(preprocessing.size, config.crop_sides)
        photo_crops = [cropper(image) for image in images]
    # the crops of all photos share batches: [sum of K, P, 4] boxes and [sum of K, P] scores
    boxes_unit, scores = _predict_in_batches(network, preprocessing, torch.from_numpy(np.concatenate(photo_crops)))
    proposals = []
    first_row = 0
    for image in images:
        # boxes of each crop in pixels of the photo, joined: near-duplicates of neighbouring crops go together
        boxes_of_crops, scores_of_crops = [], []
        for row, crop in enumerate(list_photo_crops(image, config.crop_sides), start=first_row):
            boxes, kept = _boxes_in_photo(crop, boxes_unit[row], image)
            boxes_of_crops.append(boxes[kept])
            scores_of_crops.append(scores[row][kept])
        first_row += len(boxes_of_crops)
        proposals.append(_select_best(torch.cat(boxes_of_crops), torch.cat(scores_of_crops), config))
    return proposals


def _predict_in_batches(network: MultiBox, preprocessing: Preprocessing, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Crops [K, S, S, 3] uint8 -> boxes [K, P, 4] normalised to [0, 1] by the crops, and confidences [K, P]."""
    device = network.get_buffer("priors").device
    batches = torch.split(crops, CPU_BATCH_SIZE if device.type == "cpu" else GPU_BATCH_SIZE)
    predictions = [predict_boxes(network, preprocessing.apply(batch.to(device))) for batch in batches]
    return torch.cat([boxes for boxes, _ in predictions]), torch.cat([scores for _, scores in predictions])


@torch.inference_mode()
def predict_boxes(network: MultiBox, crops: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes and confidences of every prior.

    Args:
        network: MultiBox in evaluation mode.
        crops: [B, 3, S, S] float32, preprocessed, on the network's device.

    Returns:
        Boxes [B, P, 4] float32, normalised to [0, 1] by the crop's sides and cut at its border, and confidences [B, P]
        float32 in [0, 1], both on the CPU.

    Raises:
        WeightsError: an output is NaN or infinite.
    """
    outputs = network(crops.contiguous(memory_format=torch.channels_last))
    boxes, logits = network.decode(outputs.corner_offsets).cpu(), outputs.logits.float().cpu()
    # before they are clipped, which hides infinity
    require_finite(boxes, logits)
    return boxes.clamp(0, 1), logits.sigmoid()


def _boxes_in_photo(crop: PhotoCrop, boxes_unit: Tensor, image: Image) -> tuple[Tensor, Tensor]:
    """Boxes of a crop as boxes of the photo.

    Args:
        crop: place of the crop in the photo.
        boxes_unit: [P, 4] float32, normalised to [0, 1] by the crop's sides.
        image: the photo.

    Returns:
        Boxes [P, 4] float32, xyxy pixels of the photo, and booleans [P]: whether a box has a surface and does not end
        at a border of the crop that is none of the photo.
    """
    boxes = boxes_unit * torch.tensor([crop.width, crop.height] * 2) + torch.tensor([crop.left, crop.top] * 2)
    # [4] left, top, right, bottom: where the crop ends and the photo goes on, the crop cuts objects
    right, bottom = crop.left + crop.width, crop.top + crop.height
    is_inner = torch.tensor([crop.left > 0, crop.top > 0, right < image.width, bottom < image.height])
    # [P, 4] in the same order: a box that ends at such a border shows a part of an object, which another crop has whole
    ends_at_border = torch.cat([boxes_unit[:, :2] < BORDER_MARGIN, boxes_unit[:, 2:] > 1 - BORDER_MARGIN], dim=1)
    is_cut = (ends_at_border & is_inner).any(dim=1)
    # boxes that lay outside the crop have no surface left after clipping
    has_surface = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return boxes, has_surface & ~is_cut


def _select_best(boxes: Tensor, scores: Tensor, config: MultiBoxConfig) -> Proposals:
    """Ranks boxes [N, 4] by scores [N], removes near-duplicates, and keeps `config.limit` of them."""
    order = scores.argsort(descending=True, stable=True)
    kept = order[nms(boxes[order].numpy(), config.iou_threshold, config.limit)]
    return Proposals(boxes[kept].numpy(), scores[kept].numpy(), np.full(len(kept), SOURCE))
