"""Crops -> class probabilities, averaged over the ensemble; background dies here."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from incdet.networks.googlenet import GoogLeNet


def prepare_network(network: GoogLeNet, device: torch.device, precision: torch.dtype) -> GoogLeNet:
    """The network in the form it computes fastest: on the device, in `precision`, channels last, gradients off."""
    network.to(device, precision).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


@torch.inference_mode()
def classify_batch(crops: Tensor, networks: Sequence[GoogLeNet]) -> Tensor:
    """Softmax [B, columns] float32 of crops [B, 3, 224, 224], averaged over the networks (paper, section 7)."""
    total = torch.zeros((), device=crops.device)
    for network in networks:
        inputs = crops.to(network.classifier.weight.dtype).contiguous(memory_format=torch.channels_last)
        total = total + network(inputs).main.float().softmax(dim=1)
    return total / len(networks)


def score_regions(batches: Iterable[Tensor], networks: Sequence[GoogLeNet], num_classes: int) -> np.ndarray:
    """Probabilities [R, C] float32 of all regions in order; a column after the classes is background and is dropped."""
    parts = [classify_batch(crops, networks)[:, :num_classes].cpu() for crops in batches]
    return torch.cat(parts).numpy() if parts else np.zeros((0, num_classes), np.float32)
