"""MultiBox: outputs for every prior, and their boxes."""

import pytest
import torch
from random_boxes import random_unit_boxes

from incdet.networks.multibox import INPUT_SIZES, MultiBox
from incdet.networks.priors import grid_priors


def network_of(form="grids", count=12, seed=0):
    torch.manual_seed(seed)
    priors = torch.from_numpy(grid_priors()) if form == "grids" else random_unit_boxes(count, dtype=torch.float32)
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
    boxes = random_unit_boxes(12, 9, torch.float32)
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
