"""An independent forward pass of BVLC's GoogLeNet: plain numpy, Caffe's layer names, layouts and pooling rule."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class NumpyGoogLeNet:
    """BGR pixels minus Caffe's mean [3, 224, 224] -> logits [1000], one photo at a time, float64."""

    def __init__(self, tensors):
        self.tensors = {name: np.asarray(value, np.float64) for name, value in tensors.items()}

    def convolve(self, maps, layer, stride=1, pad=0):
        weight, bias = self.tensors[f"{layer}.weight"], self.tensors[f"{layer}.bias"]
        size = weight.shape[2]
        padded = np.pad(maps, ((0, 0), (pad, pad), (pad, pad)))
        windows = sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]
        result = np.tensordot(weight, windows, axes=([1, 2, 3], [0, 3, 4])) + bias[:, None, None]
        return np.maximum(result, 0)

    def inception(self, maps, name):
        layer = f"inception_{name}"
        branches = [
            self.convolve(maps, f"{layer}/1x1"),
            self.convolve(self.convolve(maps, f"{layer}/3x3_reduce"), f"{layer}/3x3", pad=1),
            self.convolve(self.convolve(maps, f"{layer}/5x5_reduce"), f"{layer}/5x5", pad=2),
            self.convolve(max_pool(maps, 3, 1, pad=1), f"{layer}/pool_proj"),
        ]
        return np.concatenate(branches)

    def logits(self, pixels):
        maps = max_pool(self.convolve(pixels, "conv1/7x7_s2", stride=2, pad=3), 3, 2)
        maps = self.convolve(normalise(maps), "conv2/3x3_reduce")
        maps = max_pool(normalise(self.convolve(maps, "conv2/3x3", pad=1)), 3, 2)
        for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            maps = self.inception(maps, name)
            if name in ("3b", "4e"):
                maps = max_pool(maps, 3, 2)
        features = maps.mean(axis=(1, 2))
        return self.tensors["loss3/classifier.weight"] @ features + self.tensors["loss3/classifier.bias"]


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
    """Across channels, k = 1, alpha divided by the size."""
    squares = np.pad(maps**2, ((size // 2, size // 2), (0, 0), (0, 0)))
    total = sum(squares[shift : shift + len(maps)] for shift in range(size))
    return maps / (1 + alpha / size * total) ** beta
