"""MultiBox: priors, matching and loss against slow independent ones, and the network."""

import itertools
import math

import numpy as np
import pytest
import torch

from incdet.data.voc import read_voc
from incdet.errors import ConfigurationError
from incdet.networks.multibox import INPUT_SIZES, MultiBox
from incdet.networks.priors import GRIDS, grid_priors
from incdet.ops.boxes import box_iou
from incdet.proposers.prior_clusters import cluster_priors
from incdet.training.prior_matching import match_bipartite, match_by_overlap, multibox_losses


def random_boxes(count, seed=0, dtype=torch.float64):
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 1e-3], dim=1)


def test_grid_priors_are_eleven_in_every_cell_and_one_whole():
    priors = grid_priors()
    assert len(priors) == 11 * (64 + 36 + 16 + 9 + 4) + 1 == 1420
    assert priors[-1].tolist() == [0, 0, 1, 1]
    assert (priors[:, 2:] > priors[:, :2]).all()
    # the first cell of the finest grid, its sixth shape but for clipping: 1.6 cells, three times as high as wide
    last = priors[11 * 63 : 11 * 64]
    squares = last[[2, 7]]
    assert squares[0].tolist() == pytest.approx([7 / 8, 7 / 8, 1, 1])
    assert squares[1].tolist() == pytest.approx([(7.5 - 0.8) / 8, (7.5 - 0.8) / 8, 1, 1])
    # a cell in the middle is not clipped: areas of 1, 2.56 and 5.29 cells, aspects of 1/3 to 3
    middle = priors[11 * (3 * 8 + 4) : 11 * (3 * 8 + 5)] * 8
    width, height = (middle[:, 2:] - middle[:, :2]).T
    assert (width * height).tolist() == pytest.approx([1.0] * 5 + [2.56] * 5 + [5.29], rel=1e-4)
    assert (width / height).tolist() == pytest.approx([1 / 3, 1 / 2, 1, 2, 3] * 2 + [1], rel=1e-4)
    assert ((middle[:, :2] + middle[:, 2:]) / 2).mean(axis=0).tolist() == pytest.approx([4.5, 3.5])
    assert GRIDS == (8, 6, 4, 3, 2)


def test_clusters_are_found_again_whatever_the_order_of_the_boxes():
    centres = np.array([[0, 0, 1, 1], [0.1, 0.1, 0.5, 0.5], [0.6, 0.2, 0.7, 0.4]])
    noise = np.random.default_rng(0).normal(0, 0.004, (3, 50, 4))
    boxes = (centres[:, None] + noise).reshape(-1, 4)
    priors = cluster_priors(boxes, 3)
    assert priors.dtype == np.float32
    assert np.allclose(priors, boxes.reshape(3, 50, 4).mean(axis=1), atol=1e-6)
    assert np.array_equal(priors, cluster_priors(boxes, 3))


def test_more_priors_than_boxes_are_refused():
    with pytest.raises(ConfigurationError, match="3 priors of 2 different"):
        cluster_priors(np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0.5, 1]]), 3)


def test_200_priors_cover_what_the_sources_say(shared_folder):
    """About 0.72 of the val objects, before any photo is looked at."""
    splits = []
    for split in ("train", "val"):
        truths = read_voc(shared_folder / "data" / "voc2012-subset", split).ground_truths
        splits.append(np.concatenate([truth.boxes / np.array([truth.width, truth.height] * 2) for truth in truths]))
    train, val = splits
    coverage = (box_iou(val, cluster_priors(train, 200)).max(axis=1) >= 0.5).mean()
    assert 0.68 < coverage < 0.76


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
    locations, boxes = random_boxes(priors, 1), random_boxes(objects, 2)
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


def test_matching_by_overlap_against_a_loop():
    priors, boxes = random_boxes(300, 4), random_boxes(6, 5)
    overlaps = box_iou(priors.numpy(), boxes.numpy())
    expected = {prior: int(row.argmax()) for prior, row in enumerate(overlaps) if row.max() >= 0.4}
    expected |= {int(column.argmax()): index for index, column in enumerate(overlaps.T)}
    matched = match_by_overlap(priors, boxes, 0.4)
    assert dict(zip(*(part.tolist() for part in matched), strict=True)) == expected
    assert len(expected) > 6
    assert [len(part) for part in match_by_overlap(priors, boxes[:0], 0.4)] == [0, 0]


def test_gradients_of_the_loss_are_numerical_ones():
    locations, boxes = random_boxes(6, 6).requires_grad_(), random_boxes(3, 7)
    logits = torch.randn(6, generator=torch.Generator().manual_seed(8), dtype=torch.float64, requires_grad=True)
    matched = match_bipartite(locations, logits, boxes, 50.0)
    assert torch.autograd.gradcheck(
        lambda *inputs: sum(multibox_losses(*inputs, matched, boxes, 50.0)), (locations, logits)
    )


def test_without_objects_every_confidence_is_pushed_down():
    locations, nothing = random_boxes(5), torch.zeros(0, 4, dtype=torch.float64)
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    location, confidence = multibox_losses(
        locations, logits, match_bipartite(locations, logits, nothing, 1.0), nothing, 1.0
    )
    confidence.backward()
    assert float(location) == 0
    assert float(confidence.detach()) == pytest.approx(5 * math.log(2))
    assert (logits.grad > 0).all()


def network_of(form="grids", count=12, seed=0):
    torch.manual_seed(seed)
    priors = torch.from_numpy(grid_priors()) if form == "grids" else random_boxes(count, dtype=torch.float32)
    return MultiBox(priors, form).eval()


@pytest.mark.parametrize("form", ["pooled", "map", "grids"])
def test_the_first_boxes_are_the_priors_with_low_confidence(form):
    network = network_of(form)
    with torch.inference_mode():
        outputs = network(torch.randn(2, 3, INPUT_SIZES[form], INPUT_SIZES[form]))
    count = len(network.get_buffer("priors"))
    assert outputs.corner_offsets.shape == (2, count, 4)
    assert outputs.logits.shape == (2, count)
    assert outputs.logits.sigmoid().max() < 0.05
    assert (network.decode(outputs.corner_offsets) - network.get_buffer("priors")).abs().max() < 0.01


def test_encoding_and_decoding_are_inverse():
    network = network_of("map")
    boxes = random_boxes(12, 9, torch.float32)
    assert torch.allclose(network.decode(network.encode(boxes)), boxes, atol=1e-6)


def test_outputs_of_a_grid_are_in_the_order_of_its_priors():
    """A bias on one shape moves the confidence of exactly that shape in every cell."""
    network = network_of()
    for layer in network.head.outputs:
        torch.nn.init.zeros_(layer.weight)
    network.head.outputs[1].bias.data.view(11, 5)[4, 4] = 7.0
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 256, 256)).logits[0]
    moved = (logits > 6).nonzero()[:, 0]
    assert moved.tolist() == list(range(64 * 11 + 4, (64 + 36) * 11, 11))
    # and cells are row by row: the map's position (y, x) is the prior's
    network.head.to_6[0].bias.data.zero_()
    centres = network.get_buffer("priors")[64 * 11 + 2 : 100 * 11 : 11]
    middle = (centres[:, :2] + centres[:, 2:]) / 2
    expected = torch.tensor([((x + 0.5) / 6, (y + 0.5) / 6) for y in range(6) for x in range(6)])
    assert torch.allclose(middle, expected, atol=0.05)
