"""Layers of our networks written down as nodes of an ONNX graph, without running or tracing them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.networks.box_regression import CELLS
from incdet.networks.inception import Inception
from incdet.networks.multibox_heads import GridsHead, MapHead, PooledHead
from incdet.networks.response_norm import LocalResponseNorm

OPSET = 17
"""Version of ONNX's operators; programs of 2022 and later know it."""

IR_VERSION = 8
"""Version of ONNX's file form that belongs to these operators."""

Shape = Sequence[int | str]
"""Lengths of an array; a text names a length that may vary."""


class OnnxGraph:
    """A graph that grows node by node; every method takes names of arrays and returns the name of its result."""

    def __init__(self) -> None:
        import onnx

        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, shape: Shape) -> str:
        """Adds an input, float32."""
        self._inputs.append(self._described(name, shape))
        return name

    def output(self, array: str, name: str, shape: Shape) -> None:
        """Makes an array an output, float32, under a name."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [array], [name]))
        self._outputs.append(self._described(name, shape))

    def model(self, title: str) -> Any:
        """Returns the whole model, checked."""
        graph = self._onnx.helper.make_graph(self._nodes, title, self._inputs, self._outputs, self._constants)
        opset = self._onnx.helper.make_opsetid("", OPSET)
        model = self._onnx.helper.make_model(graph, opset_imports=[opset], producer_name="incdet")
        model.ir_version = IR_VERSION
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def convolve(self, layer: torch.nn.Module, array: str) -> str:
        """A convolution with bias, then ReLU."""
        assert isinstance(layer, torch.nn.Conv2d)
        border = [int(value) for value in layer.padding] * 2
        return self.apply("Relu", self.convolve_only(layer, array, border))

    def convolve_only(self, layer: torch.nn.Conv2d, array: str, border: list[int] | None = None) -> str:
        """A convolution with bias and nothing behind it."""
        assert layer.bias is not None
        arrays = array, self.constant(layer.weight), self.constant(layer.bias)
        return self.apply("Conv", *arrays, strides=list(layer.stride), pads=border or [0] * 4)

    def normalise(self, layer: torch.nn.Module, array: str) -> str:
        """Response normalisation across channels; ONNX divides alpha by the size, too."""
        assert isinstance(layer, LocalResponseNorm)
        return self.apply("LRN", array, alpha=layer.alpha, beta=0.75, bias=layer.k, size=layer.size)

    def pool_down(self, array: str, size: int = 3) -> str:
        """Max pooling with stride 2; sizes are rounded up, as in Caffe."""
        return self.apply("MaxPool", array, kernel_shape=[size] * 2, strides=[2, 2], ceil_mode=1)

    def inception(self, module: torch.nn.Module, array: str) -> str:
        """An Inception module with dimension reductions."""
        assert isinstance(module, Inception)
        pooled = self.apply("MaxPool", array, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
        branches = [
            self.convolve(module.conv_1x1, array),
            self.convolve(module.conv_3x3, self.convolve(module.reduce_3x3, array)),
            self.convolve(module.conv_5x5, self.convolve(module.reduce_5x5, array)),
            self.convolve(module.pool_projection, pooled),
        ]
        return self.apply("Concat", *branches, axis=1)

    def mean(self, array: str) -> str:
        """The mean over all positions: [B, C, H, W] -> [B, C]."""
        return self.apply("ReduceMean", array, axes=[2, 3], keepdims=0)

    def cells(self, array: str, side: int) -> str:
        """The means that a box regressor takes: [B, C, side, side] -> [B, C * CELLS * CELLS].

        Cell i of 3 reaches from floor(i S / 3) to ceil((i + 1) S / 3): equal windows at equal distances, unless the
        rest of S / 3 is 2.
        """
        stride, rest = divmod(side, CELLS)
        assert stride > 0
        assert rest < CELLS - 1
        window = side - (CELLS - 1) * stride
        pooled = self.apply("AveragePool", array, kernel_shape=[window] * 2, strides=[stride] * 2)
        return self.apply("Flatten", pooled, axis=1)

    def linear(self, layer: torch.nn.Linear, array: str) -> str:
        """A fully connected layer: [B, C] -> [B, D]."""
        return self.apply("Gemm", array, self.constant(layer.weight), self.constant(layer.bias), transB=1)

    def multibox_rows(self, head: torch.nn.Module, array: str) -> str:
        """The outputs of MultiBox for each prior: [B, C, h, w] -> [B, P, 5]."""
        if isinstance(head, PooledHead):
            return self._rows(self.linear(head.outputs, self.mean(array)))
        if isinstance(head, MapHead):
            reduced = self.apply("Flatten", self.convolve(head.reduce, array), axis=1)
            return self._rows(self.linear(head.outputs, reduced))
        assert isinstance(head, GridsHead)
        four = self._chain(head.to_4, array)
        grids = [self._chain(head.to_8, array), self._chain(head.to_6, array), self._chain(head.from_4, four)]
        grids += [self._chain(head.to_3, four), self._chain(head.to_2, four)]
        rows = []
        for layer, grid in zip(head.outputs, grids, strict=True):
            assert isinstance(layer, torch.nn.Conv2d)
            # [B, 11 * 5, y, x] -> [B, y * x * 11, 5]
            rows.append(self._rows(self.apply("Transpose", self.convolve_only(layer, grid), perm=[0, 2, 3, 1])))
        rows.append(self._rows(self.linear(head.whole, self.mean(array))))
        return self.apply("Concat", *rows, axis=1)

    def constant(self, value: Tensor | np.ndarray) -> str:
        """Adds an array to the file."""
        array = value.detach().float().cpu().numpy() if isinstance(value, Tensor) else value
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def apply(self, operator: str, *arrays: str, **attributes: Any) -> str:
        """Adds a node of any operator with one result."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, list(arrays), [name], **attributes))
        return name

    def cast_to_float(self, array: str) -> str:
        """Numbers of any kind as float32."""
        return self.apply("Cast", array, to=self._onnx.TensorProto.FLOAT)

    def _chain(self, layers: torch.nn.Module, array: str) -> str:
        """Convolutions with ReLU, one after the other."""
        assert isinstance(layers, torch.nn.Sequential)
        for layer in layers:
            array = self.convolve(layer, array)
        return array

    def _rows(self, array: str) -> str:
        """Five numbers a row: [B, ...] -> [B, P, 5]."""
        return self.apply("Reshape", array, self.constant(np.array([0, -1, 5], np.int64)))

    def _described(self, name: str, shape: Shape) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, list(shape))
