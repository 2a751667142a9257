"""Matching of priors to objects, and the loss of MultiBox, against slow independent ones."""

import itertools
import math

import pytest
import torch
from random_boxes import random_unit_boxes

from incdet.ops.boxes import box_iou
from incdet.training.prior_matching import match_bipartite, match_by_overlap, multibox_losses


def slow_loss(locations, logits, assignment, boxes, alpha):
    """F of the paper, term by term; `assignment` maps priors to objects."""
    total = 0.0
    for prior in range(len(logits)):
        confidence = 1 / (1 + math.exp(-float(logits[prior])))
        if prior in assignment:
            distance = sum(
                (float(a) - float(b)) ** 2 for a, b in zip(locations[prior], boxes[assignment[prior]], strict=True)
            )
            total += alpha * 0.5 * distance - math.log(confidence)
        else:
            total -= math.log(1 - confidence)
    return total


@pytest.mark.parametrize("alpha", [0.3, 30.0, 1000.0])
@pytest.mark.parametrize(("priors", "objects"), [(5, 3), (4, 4), (3, 1), (2, 4), (4, 0)])
def test_the_bipartite_matching_has_the_least_loss_of_all(alpha, priors, objects):
    locations, boxes = random_unit_boxes(priors, 1), random_unit_boxes(objects, 2)
    logits = torch.randn(priors, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    matched = match_bipartite(locations, logits, boxes, alpha)
    count = min(priors, objects)
    assert len(set(matched[0].tolist())) == len(set(matched[1].tolist())) == len(matched[0]) == count
    possible = [
        slow_loss(locations, logits, dict(zip(chosen, order, strict=True)), boxes, alpha)
        for chosen in itertools.combinations(range(priors), count)
        for order in itertools.permutations(range(objects), count)
    ]
    found = float(sum(multibox_losses(locations, logits, matched, boxes, alpha)))
    assert found == pytest.approx(min(possible), rel=1e-9)


@pytest.mark.parametrize(("priors", "objects"), [(5, 3), (2, 4), (4, 0)])
def test_outputs_that_are_no_numbers_have_a_loss_that_is_none(priors, objects):
    """The loop says which step and which photos; SciPy would know nothing of them."""
    locations, boxes = random_unit_boxes(priors, 1), random_unit_boxes(objects, 2)
    matched = match_bipartite(locations * math.nan, torch.zeros(priors, dtype=torch.float64), boxes, 30.0)
    count = min(priors, objects)
    assert len(set(matched[0].tolist())) == len(set(matched[1].tolist())) == count
    logits = torch.full((priors,), math.nan, dtype=torch.float64)
    losses = multibox_losses(locations, logits, match_bipartite(locations, logits, boxes, 30.0), boxes, 30.0)
    assert math.isnan(float(losses[1]))


def test_matching_by_overlap_against_a_loop():
    priors, boxes = random_unit_boxes(300, 4), random_unit_boxes(6, 5)
    overlaps = box_iou(priors.numpy(), boxes.numpy())
    expected = {prior: int(row.argmax()) for prior, row in enumerate(overlaps) if row.max() >= 0.4}
    expected |= {int(column.argmax()): index for index, column in enumerate(overlaps.T)}
    matched = match_by_overlap(priors, boxes, 0.4)
    assert dict(zip(*(part.tolist() for part in matched), strict=True)) == expected
    assert len(expected) > 6
    assert [len(part) for part in match_by_overlap(priors, boxes[:0], 0.4)] == [0, 0]


def test_gradients_of_the_loss_are_numerical_ones():
    locations, boxes = random_unit_boxes(6, 6).requires_grad_(), random_unit_boxes(3, 7)
    logits = torch.randn(6, generator=torch.Generator().manual_seed(8), dtype=torch.float64, requires_grad=True)
    matched = match_bipartite(locations, logits, boxes, 50.0)
    assert torch.autograd.gradcheck(
        lambda *inputs: sum(multibox_losses(*inputs, matched, boxes, 50.0)), (locations, logits)
    )


def test_without_objects_every_confidence_is_pushed_down():
    locations, nothing = random_unit_boxes(5), torch.zeros(0, 4, dtype=torch.float64)
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    location, confidence = multibox_losses(
        locations, logits, match_bipartite(locations, logits, nothing, 1.0), nothing, 1.0
    )
    confidence.backward()
    assert float(location) == 0
    assert float(confidence.detach()) == pytest.approx(5 * math.log(2))
    assert (logits.grad > 0).all()
