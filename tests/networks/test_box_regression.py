"""Box regression: its features, its place in the network, the shipped one."""

import numpy as np
import torch
from box_regressors import regressor_of

from incdet.detector import Detector
from incdet.images import read_image
from incdet.networks.box_regression import pooled_cells
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.boxes import box_iou
from incdet.structures import Proposals

CPU = torch.device("cpu")


def test_features_are_the_means_of_three_by_three_cells():
    maps = torch.arange(36.0).reshape(1, 1, 6, 6).repeat(1, 2, 1, 1)
    expected = maps[0, 0].reshape(3, 2, 3, 2).mean(dim=(1, 3)).flatten()
    assert torch.equal(pooled_cells(maps), torch.cat([expected, expected])[None])


@torch.inference_mode()
def test_a_network_with_a_regression_also_computes_box_deltas():
    torch.manual_seed(0)
    network = prepare_network(GoogLeNet(4), CPU, torch.float32)
    crops = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 60
    backend = TorchBackend(network)
    logits = backend.head(backend.trunk(crops))
    assert torch.allclose(logits, network(crops).main, atol=1e-4)
    network.box_regressor = regressor_of(1)
    outputs = backend.head(backend.trunk(crops))
    assert torch.equal(outputs[:, :4], logits)
    assert torch.allclose(outputs[:, 4:], network.box_regressor(network.last_feature_maps(crops)), atol=1e-4)


def test_the_shipped_regression_tightens_boxes_on_a_photo(chelsea_file):
    """Box deltas move random boxes around the cat nearer to it."""
    image = read_image(chelsea_file)
    cat = np.array([[0, 0, 400, 300]], np.float32)
    generator = np.random.default_rng(0)
    boxes = (
        (cat + generator.uniform(-60, 60, (40, 4)))
        .astype(np.float32)
        .clip(0, np.array([451, 300, 451, 300], np.float32))
    )
    boxes = boxes[box_iou(boxes, cat)[:, 0] < 0.8]
    detector = Detector.from_pretrained("googlenet-voc")
    scores = detector.score(image, Proposals(boxes, np.ones(len(boxes), np.float32), np.full(len(boxes), "multibox")))
    assert box_iou(scores.boxes, cat).mean() > box_iou(boxes, cat).mean() + 0.03
