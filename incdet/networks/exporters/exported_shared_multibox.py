"""MultiBox on shared feature maps as an ONNX model and as TorchScript: feature maps of a photo -> boxes in its pixels.

The priors follow from the size of the feature maps, so the exported network computes them itself: a program that reads
the file needs no formula to decode its boxes.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.networks.exporters import torchscript_modules
from incdet.networks.exporters.exported_networks import ExportedNetwork, noise
from incdet.networks.exporters.onnx_graph import OnnxGraph
from incdet.networks.shared_multibox import FEATURE_CHANNELS, SharedMultiBox
from incdet.ops.region_pooling import CELL_OFFSET, CELL_STRIDE

_SHAPE = (1, FEATURE_CHANNELS, "rows", "columns")

_CHECKED_CELLS = (13, 18)
"""Rows and columns of the feature maps on which the file is compared with torch; an odd number is halved upwards."""

_OUTPUTS = {
    "boxes": "x1, y1, x2, y2 of every prior in pixels of the resized photo, not cut at its border",
    "scores": "confidence in [0, 1] that an object is there",
}


def export_shared_multibox(network: SharedMultiBox) -> ExportedNetwork:
    """Exports MultiBox on shared feature maps.

    Args:
        network: The network in float32 and in evaluation mode.
    """

    def make_model() -> Any:
        graph = OnnxGraph()
        _add_boxes(graph, network, graph.input("feature_maps", _SHAPE))
        return graph.model("shared_multibox")

    @torch.inference_mode()
    def expected(sample: np.ndarray) -> tuple[np.ndarray, ...]:
        computed = network(torch.from_numpy(sample))
        priors = network.priors(*sample.shape[2:])
        boxes = network.decode(priors, computed.corner_offsets[0])[None]
        return boxes.numpy(), computed.logits.sigmoid().numpy()

    # feature maps come from a ReLU, so none of their values is negative
    sample = np.abs(noise((1, FEATURE_CHANNELS, *_CHECKED_CELLS), scale=1.0))
    recorded = torchscript_modules.shared_multibox(network)
    return ExportedNetwork("shared_multibox", make_model, recorded, _SHAPE, _OUTPUTS, sample, expected)


def _add_boxes(graph: OnnxGraph, network: SharedMultiBox, feature_maps: str) -> None:
    """Adds the layers of all grids and the outputs; see `SharedMultiBox.forward`."""
    reduced = graph.convolve(network.reduce, feature_maps)
    grids = [graph.convolve(network.fine, reduced)]
    for layer in network.coarser:
        reduced = graph.convolve(layer, reduced)
        grids.append(reduced)
    all_boxes, all_scores = [], []
    for number, (layer, grid) in enumerate(zip(network.outputs, grids, strict=True)):
        assert isinstance(layer, torch.nn.Conv2d)
        # [1, K * 5, y, x] -> [1, y, x, K, 5] for the K priors of a cell
        cells = graph.apply("Transpose", graph.convolve_only(layer, grid), perm=[0, 2, 3, 1])
        rows = graph.apply("Reshape", cells, _integers(graph, 0, 0, 0, -1, 5))
        offsets = _slice_last(graph, rows, 0, 4)
        half_sizes = network.half_sizes(number)  # [K, 2]
        units = (2 * half_sizes * network.description.offset_unit).repeat(1, 2)  # [K, 4]
        moves = graph.apply("Mul", offsets, graph.constant(units))
        boxes = graph.apply("Add", _priors(graph, grid, number, half_sizes), moves)
        all_boxes.append(graph.apply("Reshape", boxes, _integers(graph, 0, -1, 4)))
        scores = graph.apply("Sigmoid", _slice_last(graph, rows, 4, 5))
        all_scores.append(graph.apply("Flatten", scores, axis=1))
    graph.output(graph.apply("Concat", *all_boxes, axis=1), "boxes", (1, "priors", 4))
    graph.output(graph.apply("Concat", *all_scores, axis=1), "scores", (1, "priors"))


def _priors(graph: OnnxGraph, grid: str, number: int, half_sizes: Tensor) -> str:
    """The priors of one grid, [y, x, K, 4] in pixels of the resized photo; see `SharedMultiBox.priors`."""
    stride = CELL_STRIDE * 2**number
    # [y, 1, 1, 1] and [x, 1, 1], which broadcast with the masks of y and x among four corners
    y = graph.apply("Mul", _centres(graph, grid, 2, stride, (-1, 1, 1, 1)), _floats(graph, 0, 1, 0, 1))
    x = graph.apply("Mul", _centres(graph, grid, 3, stride, (-1, 1, 1)), _floats(graph, 1, 0, 1, 0))
    corners = graph.constant(torch.cat([-half_sizes, half_sizes], dim=1))  # [K, 4]
    return graph.apply("Add", graph.apply("Add", y, x), corners)


def _centres(graph: OnnxGraph, grid: str, axis: int, stride: float, shape: tuple[int, ...]) -> str:
    """Pixels that the cells of a grid look at along one axis, in a shape that broadcasts."""
    # a number without dimensions takes one element out, which has none either
    length = graph.apply("Gather", graph.apply("Shape", grid), graph.constant(np.array(axis, np.int64)))
    zero, one = (graph.constant(np.array(value, np.int64)) for value in (0, 1))
    cells = graph.cast_to_float(graph.apply("Range", zero, length, one))
    pixels = graph.apply("Add", graph.apply("Mul", cells, _floats(graph, stride)), _floats(graph, CELL_OFFSET))
    return graph.apply("Reshape", pixels, _integers(graph, *shape))


def _slice_last(graph: OnnxGraph, rows: str, start: int, stop: int) -> str:
    """Takes a part of the last of five axes."""
    return graph.apply("Slice", rows, _integers(graph, start), _integers(graph, stop), _integers(graph, 4))


def _integers(graph: OnnxGraph, *values: int) -> str:
    return graph.constant(np.array(values, np.int64))


def _floats(graph: OnnxGraph, *values: float) -> str:
    return graph.constant(np.array(values, np.float32))
