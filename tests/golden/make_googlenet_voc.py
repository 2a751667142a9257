"""Writes googlenet_voc.json: numbers of the shipped network, computed without incdet's and torch's network code.

Run it from the repository's root after the shipped weights have changed: python tests/golden/make_googlenet_voc.py
"""

import json
import sys
from pathlib import Path

import numpy as np
import skimage.data
from safetensors.numpy import load_file

GOLDEN = Path(__file__).parent
ROOT = GOLDEN.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from numpy_googlenet import NumpyGoogLeNet  # noqa: E402 (found by the line above)

NAME = "googlenet-voc"
PHOTOS = ("astronaut", "chelsea", "coffee")
MEAN_RGB = (123.0, 117.0, 104.0)
NUM_VALUES = 6

LAYERS = {
    "conv1": "conv1/7x7_s2",
    "conv2_reduce": "conv2/3x3_reduce",
    "conv2": "conv2/3x3",
    "classifier": "loss3/classifier",
    "conv_1x1": "1x1",
    "reduce_3x3": "3x3_reduce",
    "conv_3x3": "3x3",
    "reduce_5x5": "5x5_reduce",
    "conv_5x5": "5x5",
    "pool_projection": "pool_proj",
}
"""Name of a layer in the shipped file -> Caffe's."""

ORIGIN = (
    "Made by tests/golden/make_googlenet_voc.py with the NumPy network of tests/numpy_googlenet.py in float64, which "
    "shares no code with incdet. Input: the central 224 x 224 pixels of photos that come with scikit-image, minus the "
    "mean colour (123, 117, 104). Weights: incdet/weights/googlenet-voc.safetensors. 'logits': logits of the 20 "
    "classes of VOC and of background. 'feature_maps': mean and standard deviation over all positions and channels, "
    "and the values of evenly spaced channels, the first to the last, at the position (H // 2, W // 2)."
)


def central_pixels(photo):
    """[224, 224, 3] uint8, RGB."""
    pixels = getattr(skimage.data, photo)()
    top, left = (pixels.shape[0] - 224) // 2, (pixels.shape[1] - 224) // 2
    return pixels[top : top + 224, left : left + 224]


def caffe_tensors():
    """Caffe's parameter name -> array, from the shipped file, which holds float16."""
    tensors = {}
    for name, values in load_file(ROOT / "incdet" / "weights" / f"{NAME}.safetensors").items():
        *module, layer, kind = name.split(".")
        tensors["/".join([*module, LAYERS[layer]]) + f".{kind}"] = values
    # the reference takes BGR, the shipped filters take RGB
    tensors["conv1/7x7_s2.weight"] = tensors["conv1/7x7_s2.weight"][:, ::-1]
    return tensors


def describe(feature_maps):
    """Statistics and a few values of feature maps [channels, H, W]."""
    channels, height, width = feature_maps.shape
    chosen = np.linspace(0, channels - 1, NUM_VALUES).round().astype(int)
    return {
        "mean": rounded(feature_maps.mean()),
        "deviation": rounded(feature_maps.std()),
        "values": [rounded(value) for value in feature_maps[chosen, height // 2, width // 2]],
    }


def rounded(value):
    """Seven significant digits, the precision of float32."""
    return float(f"{value:.7g}")


def numbers_of(network, photo):
    """The golden numbers of a photo."""
    pixels = central_pixels(photo).astype(np.float64) - np.array(MEAN_RGB)
    feature_maps = network.feature_maps(pixels.transpose(2, 0, 1)[::-1])
    return {
        "logits": [rounded(value) for value in network.classify(feature_maps["5b"])],
        "feature_maps": {name: describe(maps) for name, maps in feature_maps.items()},
    }


if __name__ == "__main__":
    network = NumpyGoogLeNet(caffe_tensors())
    content = {"origin": ORIGIN, "photos": {photo: numbers_of(network, photo) for photo in PHOTOS}}
    (GOLDEN / "googlenet_voc.json").write_text(json.dumps(content, indent=1) + "\n")
