"""GoogLeNet against an independent forward pass: stored numbers of the shipped network, and BVLC's network."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from numpy_googlenet import MODULES, NumpyGoogLeNet
from safetensors.torch import load_file

from incdet.classifier import crop_image
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.caffe import CAFFE_MEAN, from_caffe
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, load_tensors
from incdet.networks.weights_record import Preprocessing

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "googlenet_voc.json").read_text())["photos"]
"""Numbers of tests/numpy_googlenet.py; the file says how they were made."""


@pytest.fixture(scope="module")
def shipped_network():
    return load_network(find_weights("googlenet-voc"))


@pytest.mark.parametrize("photo", GOLDEN)
def test_the_shipped_network_computes_the_stored_numbers(shipped_network, photo):
    network, record = shipped_network
    pixels = getattr(skimage.data, photo)()
    top, left = (pixels.shape[0] - 224) // 2, (pixels.shape[1] - 224) // 2
    crop = torch.from_numpy(pixels[top : top + 224, left : left + 224].copy())
    found = {}

    def keep(name):
        return lambda module, inputs, output: found.__setitem__(name, output[0].numpy())

    layers = {"norm2": network.norm2} | {name: network.get_submodule(f"inception_{name}") for name in MODULES}
    hooks = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    with torch.inference_mode():
        logits = network(record.preprocessing.apply(crop[None])).main[0]
    for hook in hooks:
        hook.remove()
    assert logits.tolist() == pytest.approx(GOLDEN[photo]["logits"], abs=1e-3)
    assert found.keys() == GOLDEN[photo]["feature_maps"].keys()
    for name, expected in GOLDEN[photo]["feature_maps"].items():
        channels, height, width = found[name].shape
        chosen = np.linspace(0, channels - 1, len(expected["values"])).round().astype(int)
        values = found[name][chosen, height // 2, width // 2]
        assert found[name].mean() == pytest.approx(expected["mean"], rel=1e-4), name
        assert found[name].std() == pytest.approx(expected["deviation"], rel=1e-4), name
        assert values == pytest.approx(np.array(expected["values"]), rel=1e-3, abs=1e-3 * expected["deviation"]), name


@pytest.mark.slow
def test_bvlcs_logits_agree_with_an_independent_forward_pass(shared_folder, astronaut):
    tensors = load_file(shared_folder / "weights" / "bvlc_googlenet.safetensors")
    network = GoogLeNet(1000).eval()
    load_tensors(network, from_caffe(tensors, "test"), "test")
    (crop,) = crop_image(astronaut, Preprocessing(mean=CAFFE_MEAN, context=0), 1)
    with torch.inference_mode():
        ours = network(crop[None]).main[0].numpy()
    # Caffe's frame: BGR, and the means in its own order
    bgr = crop.numpy()[::-1] + np.array(CAFFE_MEAN[::-1])[:, None, None] - np.array([104, 117, 123])[:, None, None]
    theirs = NumpyGoogLeNet({name: tensor.numpy() for name, tensor in tensors.items()}).logits(bgr)
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-3
    assert ours.argmax() == theirs.argmax()
