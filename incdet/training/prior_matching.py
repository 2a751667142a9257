"""Matching of priors and objects, and the loss of MultiBox (Erhan et al. 2014, section 2)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou


@torch.no_grad()
def match_bipartite(
    locations: Tensor, logits: Tensor, boxes_unit: Tensor, location_weight: float
) -> tuple[Tensor, Tensor]:
    """Finds the assignment x that minimises the loss over all x that give each object its own prior; exact.

    Outputs that are not finite have no such assignment. Priors and objects are then matched in their order, so that the
    loss is no number, either, and ends the training.

    Args:
        locations: [P, 4] float32, predicted corners, normalised to [0, 1].
        logits: [P] float32, logits of the confidences.
        boxes_unit: [K, 4] float32, corners of the objects, normalised to [0, 1]; with more objects than priors some
            objects get none.
        location_weight: weight alpha of the locations.

    Returns:
        Matched priors [M] and their objects [M], int64, M = min(P, K), sorted by prior.
    """
    from scipy.optimize import linear_sum_assignment

    # squared distance of every prior to every object [P, K]
    distance = (locations[:, None, :] - boxes_unit[None, :, :]).square().sum(dim=2)
    # taking prior i for an object replaces its term -log(1 - c) by -log c, a difference of -logit
    cost = location_weight / 2 * distance - logits[:, None]
    device = logits.device
    if not cost.isfinite().all():
        in_order = torch.arange(min(cost.shape), device=device)
        return in_order, in_order
    priors, objects = linear_sum_assignment(cost.double().cpu().numpy())
    order = np.argsort(priors)
    return torch.from_numpy(priors[order]).to(device), torch.from_numpy(objects[order]).to(device)


@torch.no_grad()
def match_by_overlap(priors: Tensor, boxes_unit: Tensor, iou_threshold: float) -> tuple[Tensor, Tensor]:
    """Gives every prior the object that it overlaps most, from the threshold on.

    The best prior of an object gets it whatever their overlap is.

    Args:
        priors: [P, 4] float32, corners, normalised to [0, 1].
        boxes_unit: [K, 4] float32, corners of the objects, normalised to [0, 1].
        iou_threshold: Jaccard index from which a prior answers for an object.

    Returns:
        Matched priors [M] and their objects [M], int64, sorted by prior. Of two objects with the same best prior the
        earlier one may go without any.
    """
    if len(boxes_unit) == 0:
        empty = torch.zeros(0, dtype=torch.int64, device=priors.device)
        return empty, empty
    overlaps = box_iou(priors, boxes_unit)
    best, objects = overlaps.max(dim=1)
    best_priors = overlaps.argmax(dim=0)
    # an object's best prior takes it even below the threshold; the later of two with the same one gets it
    for index, prior in enumerate(best_priors.tolist()):
        objects[prior], best[prior] = index, 1.0
    matched = (best >= iou_threshold).nonzero()[:, 0]
    return matched, objects[matched]


def multibox_losses(
    locations: Tensor, logits: Tensor, matched: tuple[Tensor, Tensor], boxes_unit: Tensor, location_weight: float
) -> tuple[Tensor, Tensor]:
    """Returns the two terms of F = alpha F_match + F_conf for one image; scalars.

    F_match = 1/2 sum x_ij ||l_i - g_j||^2; F_conf = - sum x_ij log c_i - sum (1 - sum_j x_ij) log(1 - c_i).

    Args:
        locations: [P, 4] float32, predicted corners, normalised to [0, 1].
        logits: [P] float32, logits of the confidences.
        matched: matched priors [M] and their objects [M], int64.
        boxes_unit: [K, 4] float32, corners of the objects, normalised to [0, 1].
        location_weight: weight alpha of the locations.
    """
    priors, objects = matched
    # priors without an object have no location to learn, and a confidence of zero
    location = location_weight / 2 * (locations[priors] - boxes_unit[objects]).square().sum()
    targets = torch.zeros_like(logits)
    targets[priors] = 1.0
    return location, F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
