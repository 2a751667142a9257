"""An independent forward pass of GoogLeNet: plain NumPy, with Caffe's layer names, layouts and pooling rule.

Written from the paper and Caffe's description of its network, without incdet's code, so that it can check that code.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")


class NumpyGoogLeNet:
    """GoogLeNet for one photo at a time, in float64.

    Args:
        tensors: Caffe's parameter name, such as "conv1/7x7_s2.weight" -> array.
    """

    def __init__(self, tensors):
        self.tensors = {name: np.asarray(value, np.float64) for name, value in tensors.items()}

    def logits(self, pixels):
        """[C] logits of [3, 224, 224] pixels: BGR minus Caffe's mean."""
        return self.classify(self.feature_maps(pixels)["5b"])

    def classify(self, feature_maps):
        """[C] logits of the feature maps of module 5b."""
        features = feature_maps.mean(axis=(1, 2))
        return self.tensors["loss3/classifier.weight"] @ features + self.tensors["loss3/classifier.bias"]

    def feature_maps(self, pixels):
        """Name -> [channels, H, W] after the response normalisation "norm2" and after every Inception module."""
        maps = max_pool(self.convolve(pixels, "conv1/7x7_s2", stride=2, pad=3), 3, 2)
        maps = self.convolve(normalise(maps), "conv2/3x3_reduce")
        found = {"norm2": normalise(self.convolve(maps, "conv2/3x3", pad=1))}
        maps = max_pool(found["norm2"], 3, 2)
        for name in MODULES:
            maps = found[name] = self.inception(maps, name)
            if name in ("3b", "4e"):
                maps = max_pool(maps, 3, 2)
        return found

    def inception(self, maps, name):
        """The four branches of a module, concatenated."""
        layer = f"inception_{name}"
        branches = [
            self.convolve(maps, f"{layer}/1x1"),
            self.convolve(self.convolve(maps, f"{layer}/3x3_reduce"), f"{layer}/3x3", pad=1),
            self.convolve(self.convolve(maps, f"{layer}/5x5_reduce"), f"{layer}/5x5", pad=2),
            self.convolve(max_pool(maps, 3, 1, pad=1), f"{layer}/pool_proj"),
        ]
        return np.concatenate(branches)

    def convolve(self, maps, layer, stride=1, pad=0):
        """Convolution with bias, then ReLU."""
        weight, bias = self.tensors[f"{layer}.weight"], self.tensors[f"{layer}.bias"]
        size = weight.shape[2]
        padded = np.pad(maps, ((0, 0), (pad, pad), (pad, pad)))
        windows = sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]
        result = np.tensordot(weight, windows, axes=([1, 2, 3], [0, 3, 4])) + bias[:, None, None]
        return np.maximum(result, 0)


def max_pool(maps, size, stride, pad=0):
    """Caffe's: the number of windows is rounded up, the last ones are cut at the border."""
    height, width = maps.shape[1:]
    rows, columns = (math.ceil((side + 2 * pad - size) / stride) + 1 for side in (height, width))
    result = np.empty((len(maps), rows, columns))
    for row in range(rows):
        top = row * stride - pad
        for column in range(columns):
            left = column * stride - pad
            window = maps[:, max(top, 0) : top + size, max(left, 0) : left + size]
            result[:, row, column] = window.max(axis=(1, 2))
    return result


def normalise(maps, size=5, alpha=1e-4, beta=0.75):
    """Response normalisation across channels, k = 1, alpha divided by the size."""
    squares = np.pad(maps**2, ((size // 2, size // 2), (0, 0), (0, 0)))
    total = sum(squares[shift : shift + len(maps)] for shift in range(size))
    return maps / (1 + alpha / size * total) ** beta
