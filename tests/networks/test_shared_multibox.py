"""MultiBox on shared feature maps: its priors, its outputs in their order, and the signature of the network below."""

import numpy as np
import pytest
import torch

from incdet.errors import WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox_description import SharedMultiBoxDescription
from incdet.networks.quantization import dequantize, quantize
from incdet.networks.shared_multibox import FEATURE_CHANNELS, SharedMultiBox
from incdet.networks.shipped_weights import find_weights
from incdet.networks.stage_signature import same_signature, stage_signature
from incdet.networks.weights import load_multibox, load_shared_multibox


def small_network(**changes):
    values = {
        "offset_unit": 0.1,
        "prior_sides": ((32.0,), (64.0, 96.0)),
        "aspect_ratios": (0.5, 2.0),
        "channels": 8,
        "network": "none",
        "signature": (0.0,),
    }
    torch.manual_seed(0)
    return SharedMultiBox(SharedMultiBoxDescription(**values | changes))


def test_priors_lie_around_the_pixels_that_cells_look_at():
    priors = small_network().priors(3, 4)
    # 3 x 4 cells with one side and two ratios, 2 x 2 cells with two sides and two ratios
    assert priors.shape == (3 * 4 * 2 + 2 * 2 * 4, 4)
    centres = (priors[:, :2] + priors[:, 2:]) / 2
    assert centres[:2].flatten().tolist() == pytest.approx([14.5] * 4)
    assert centres[2].tolist() == pytest.approx([30.5, 14.5])
    assert centres[8].tolist() == pytest.approx([14.5, 30.5])
    assert centres[28].tolist() == pytest.approx([46.5, 14.5])
    sizes = priors[:, 2:] - priors[:, :2]
    assert sizes.prod(dim=1)[[0, 24, 26]].tolist() == pytest.approx([32**2, 64**2, 96**2])
    assert (sizes[:, 0] / sizes[:, 1])[:2].tolist() == pytest.approx([0.5, 2.0])


def test_outputs_belong_to_the_priors_in_their_order():
    """A single cell that differs changes the outputs of priors near it, and those only."""
    network = small_network(prior_sides=((32.0,),)).eval()
    maps = torch.rand(1, FEATURE_CHANNELS, 9, 11)
    changed = maps.clone()
    changed[0, :, 4, 6] = 0
    with torch.inference_mode():
        before, after = network(maps), network(changed)
    differs = (before.logits != after.logits)[0]
    priors = network.priors(9, 11)
    centres = (priors[:, :2] + priors[:, 2:]) / 2
    is_near = ((centres - torch.tensor([14.5 + 6 * 16, 14.5 + 4 * 16])).abs() <= 16.5).all(dim=1)
    assert before.corner_offsets.shape == (1, len(priors), 4)
    assert differs.any()
    assert not differs[~is_near].any()


def test_encoded_boxes_decode_to_themselves():
    network = small_network()
    priors = network.priors(3, 4)
    boxes = priors + torch.tensor([3.0, -2.0, 10.0, 20.0])
    assert torch.allclose(network.decode(priors, network.encode(priors, boxes)), boxes, atol=1e-4)


def test_a_signature_tells_networks_apart_but_not_their_number_formats():
    torch.manual_seed(0)
    network, other = GoogLeNet(3), GoogLeNet(3)
    signature = stage_signature(network)
    assert not same_signature(signature, stage_signature(other))
    assert not same_signature(signature, signature[:-1])
    other.load_state_dict(dequantize(quantize(network.state_dict()), "a test"))
    assert same_signature(signature, stage_signature(other))
    # another classifier reads the same feature maps
    assert same_signature(signature, stage_signature(network.bfloat16()))
    torch.nn.init.normal_(network.classifier.weight)
    assert same_signature(signature, stage_signature(network))


def test_shipped_weights_belong_to_the_shipped_network():
    from incdet.networks.weights import load_network

    network, record = load_shared_multibox(find_weights("multibox-voc-shared"))
    base, base_record = load_network(find_weights(network.description.network))
    assert same_signature(stage_signature(base), network.description.signature)
    assert record.preprocessing == base_record.preprocessing
    assert record.features == "shared"
    assert np.isfinite(network.priors(32, 43).numpy()).all()


def test_kinds_of_weights_are_not_mixed_up():
    with pytest.raises(WeightsError, match="feature maps that others share"):
        load_multibox(find_weights("multibox-voc-shared"))
    with pytest.raises(WeightsError, match="those of a MultiBox on crops"):
        load_shared_multibox(find_weights("multibox-voc"))
