"""Cascades of networks that tests make, and what they say about photos."""

import torch

from incdet.networks.engines.torch_backend import TorchBackend
from incdet.networks.ensemble import Member
from incdet.networks.weights_record import Preprocessing
from incdet.pipeline.batching import score_across_photos
from incdet.pipeline.cascade import Cascade, Thresholds
from incdet.regions import RegionCropper
from incdet.scores import score_regions

CPU = torch.device("cpu")


def member_of(network, context=16, backend=None):
    return Member(network, backend or TorchBackend(network), context)


def cascade_of(members, rejection_network=None, thresholds=(0.0, 0.0), contexts=None):
    """A cascade of prepared networks.

    Args:
        members: the networks.
        rejection_network: the network in front of them.
        thresholds: min_probability and half_resolution_min_probability.
        contexts: pixels of context of the rejection network, if any, and the members.
    """
    networks = [*([] if rejection_network is None else [rejection_network]), *members]
    ready = [member_of(*pair) for pair in zip(networks, contexts or [16] * len(networks), strict=True)]
    first = None if rejection_network is None else ready.pop(0)
    return Cascade(ready, first, Thresholds(*thresholds))


SMALL = Preprocessing(size=128)
"""Crops that take a third of the time."""


def regions_of(photos, cascade, batch_size=64, across_photos=False, preprocessing=SMALL):
    """The `PhotoRegions` of (image, boxes) pairs."""
    croppers = ((RegionCropper(image, preprocessing, CPU), boxes) for image, boxes in photos)
    if across_photos:
        return list(score_across_photos(croppers, cascade, batch_size))
    return [score_regions(cropper, boxes, cascade, batch_size) for cropper, boxes in croppers]
