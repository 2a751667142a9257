"""MultiBox as a proposer: boxes of multi-scale crops, in the pixels of each photo."""

import numpy as np
import pytest
import torch

from incdet.config.sections import MultiBoxConfig
from incdet.networks.multibox import BoxOutputs
from incdet.networks.weights_record import Preprocessing
from incdet.proposers.multibox_proposer import MultiBoxProposer, propose_boxes
from incdet.structures import Image


class Fixed(torch.nn.Module):
    """Says the same about every image."""

    def __init__(self, boxes, scores):
        super().__init__()
        self.register_buffer("priors", torch.zeros(len(boxes), 4))
        self.boxes, self.logits = torch.tensor(boxes), torch.tensor(scores).logit()

    def decode(self, outputs):
        return outputs

    def forward(self, inputs):
        return BoxOutputs(self.boxes.expand(len(inputs), -1, -1), self.logits.expand(len(inputs), -1))


def proposed(network, *images, crop_sides=(), **settings):
    return propose_boxes(images, network, Preprocessing(), MultiBoxConfig(crop_sides=crop_sides, **settings))


def test_boxes_are_cut_ranked_and_rid_of_near_duplicates():
    boxes = [[-0.2, 0.1, 0.5, 0.6], [0.5, 0.5, 0.9, 0.9], [0.51, 0.5, 0.9, 0.9], [1.1, 0, 1.4, 1], [0, 0, 1, 1]]
    network = Fixed(boxes, [0.2, 0.6, 0.9, 0.95, 0.1])
    photo = Image(np.zeros((100, 200, 3), np.uint8))
    (found,) = proposed(network, photo)
    expected = np.array([[102, 50, 180, 90], [0, 10, 100, 60], [0, 0, 200, 100]])
    assert np.allclose(found.boxes, expected, atol=1e-4)
    assert found.scores.tolist() == pytest.approx([0.9, 0.2, 0.1])
    assert len(proposed(network, photo, limit=2)[0]) == 2
    assert len(proposed(network, photo, iou_threshold=0.99)[0]) == 4


def test_proposals_are_in_the_pixels_of_each_photo(astronaut):
    network = Fixed([[0.25, 0.5, 0.75, 1.0]], [0.5])
    first, second = proposed(network, astronaut, Image(np.zeros((100, 400, 3), np.uint8)))
    assert first.boxes.tolist() == [[128, 256, 384, 512]]
    assert second.boxes.tolist() == [[100, 50, 300, 100]]
    assert first.sources.tolist() == ["multibox"]


def test_photo_crops_add_boxes_but_none_of_objects_that_they_cut():
    """A box in a crop's middle stays in every crop, one at its right border only where the photo ends, too."""
    photo = Image(np.zeros((90, 300, 3), np.uint8))
    (found,) = proposed(Fixed([[0.4, 0.4, 0.6, 0.6]], [0.5]), photo, crop_sides=(2 / 3,))
    size, steps = (40, 12), [(0, 0), (100, 0), (0, 30), (100, 30)]
    expected = [[120, 36, 180, 54]] + [[80 + x, 24 + y, 80 + x + size[0], 24 + y + size[1]] for x, y in steps]
    assert sorted(np.round(found.boxes).tolist()) == sorted(expected)
    (found,) = proposed(Fixed([[0.7, 0.4, 1.0, 0.6]], [0.5]), photo, crop_sides=(2 / 3,))
    assert sorted(np.round(found.boxes).tolist()) == sorted(
        [[210, 36, 300, 54], [240, 24, 300, 36], [240, 54, 300, 66]]
    )


@pytest.mark.parametrize("size", [(1, 1), (1000, 1), (1, 1000), (900, 2), (2000, 3)])
def test_strips_of_few_pixels_have_photo_crops_too(size):
    photo = Image(np.zeros((size[1], size[0], 3), np.uint8))
    (found,) = proposed(Fixed([[0.25, 0.25, 0.75, 0.75]], [0.5]), photo, crop_sides=(0.67, 0.25))
    assert len(found) > 0
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [*size, *size]).all()


def test_crops_that_were_cut_ahead_give_the_same_boxes(astronaut):
    proposer = MultiBoxProposer(MultiBoxConfig(weights="multibox-voc", crop_sides=(0.67,)), torch.device("cpu"))
    found, ahead = proposer(astronaut), proposer(astronaut, proposer.photo_cropper(astronaut))
    assert np.array_equal(found.boxes, ahead.boxes)
    # the given crops are those that the network sees
    blank = proposer(astronaut, np.zeros_like(proposer.photo_cropper(astronaut)))
    assert not np.array_equal(found.scores, blank.scores)
