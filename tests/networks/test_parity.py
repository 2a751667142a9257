"""The imported ImageNet network against an independent forward pass."""

import numpy as np
import pytest
import torch
from numpy_googlenet import NumpyGoogLeNet
from safetensors.torch import load_file

from incdet.classifier import crop_image
from incdet.errors import WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.caffe import CAFFE_MEAN, from_caffe
from incdet.networks.weights import Preprocessing, load_tensors


@pytest.fixture(scope="module")
def caffe_tensors(shared_folder):
    return load_file(shared_folder / "weights" / "bvlc_googlenet.safetensors")


def test_logits_agree_with_an_independent_forward_pass(caffe_tensors, astronaut):
    network = GoogLeNet(1000).eval()
    load_tensors(network, from_caffe(caffe_tensors, "test"), "test")
    (crop,) = crop_image(astronaut, Preprocessing(mean=CAFFE_MEAN, context=0), 1)
    with torch.inference_mode():
        ours = network(crop[None]).main[0].numpy()
    # Caffe's frame: BGR, and the means in its own order
    bgr = crop.numpy()[::-1] + np.array(CAFFE_MEAN[::-1])[:, None, None] - np.array([104, 117, 123])[:, None, None]
    theirs = NumpyGoogLeNet({name: tensor.numpy() for name, tensor in caffe_tensors.items()}).logits(bgr)
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-3
    assert ours.argmax() == theirs.argmax()


def test_a_missing_or_additional_layer_is_refused(caffe_tensors):
    lacking = {name: value for name, value in caffe_tensors.items() if name != "inception_4c/5x5.bias"}
    with pytest.raises(WeightsError, match=r"lacks 'inception_4c/5x5\.bias'"):
        from_caffe(lacking, "test")
    with pytest.raises(WeightsError, match=r"holds 'fc8\.weight'"):
        from_caffe({**caffe_tensors, "fc8.weight": torch.zeros(1)}, "test")
