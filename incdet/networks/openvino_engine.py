"""GoogLeNet computed by OpenVINO: the same two halves, built from the same weights, faster on CPUs than torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.errors import ConfigurationError, PackageError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import ConvReLU, Inception, LocalResponseNorm

BATCH = 16
"""Rows of one inference; several run side by side."""


class OpenVinoHalves:
    """A network's halves as compiled models, each made when first needed.

    Args:
        network: as published; variants with batch normalisation, naive modules or a separable convolution are refused.
        precision: torch.float32 or torch.bfloat16; what goes in and out is float32.

    Raises:
        PackageError: OpenVINO is not installed.
        ConfigurationError: the network is one of the variants.
    """

    def __init__(self, network: GoogLeNet, precision: torch.dtype):
        _openvino()
        variant = network.architecture
        if variant.batch_norm or variant.naive or variant.separable_conv1:
            raise ConfigurationError(
                f"OpenVINO's engine does not know the network '{variant.name}'; leave out scores.engine=openvino"
            )
        self.network, self.precision = network, precision
        self._compiled: dict[str, Any] = {}

    def trunk(self, crops: Tensor) -> Tensor:
        """As `GoogLeNet.trunk_maps`."""
        return self._run("trunk", _trunk, crops)

    def logits(self, maps: Tensor) -> Tensor:
        """As the main logits of `GoogLeNet.classify_maps`."""
        return self._run("head", _head, maps)

    def _run(self, name: str, build: Callable[[Any, GoogLeNet, Any], Any], rows: Tensor) -> Tensor:
        openvino = _openvino()
        if name not in self._compiled:
            from openvino import opset8

            parameter = opset8.parameter([BATCH, *rows.shape[1:]], np.float32)
            model = openvino.Model([build(opset8, self.network, parameter)], [parameter])
            hints = {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_PRECISION_HINT": "bf16" if self.precision == torch.bfloat16 else "f32",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "ENABLE_CPU_PINNING": False,
            }
            self._compiled[name] = openvino.Core().compile_model(model, "CPU", hints)
        compiled = self._compiled[name]
        inputs = rows.float().contiguous().numpy()
        missing = -len(inputs) % BATCH
        if missing:
            inputs = np.concatenate([inputs, np.zeros((missing, *inputs.shape[1:]), np.float32)])
        outputs = np.empty((len(inputs), *list(compiled.output(0).shape)[1:]), np.float32)

        def keep(request: Any, start: int) -> None:
            outputs[start : start + BATCH] = request.get_output_tensor(0).data

        queue = openvino.AsyncInferQueue(compiled)
        queue.set_callback(keep)
        for start in range(0, len(inputs), BATCH):
            queue.start_async({0: inputs[start : start + BATCH]}, start)
        queue.wait_all()
        return torch.from_numpy(outputs[: len(rows)])


def _openvino() -> Any:
    try:
        import openvino
    except ImportError:
        raise PackageError(
            "scores.engine=openvino needs OpenVINO, which is not installed: pip install 'incdet[openvino]'"
        ) from None
    return openvino


def _trunk(ops: Any, network: GoogLeNet, crops: Any) -> Any:
    maps = _halve(ops, _convolve(ops, network.conv1, crops))
    maps = _convolve(ops, network.conv2_reduce, _normalise(ops, network.norm1, maps))
    maps = _normalise(ops, network.norm2, _convolve(ops, network.conv2, maps))
    return _halve(ops, _modules(ops, network, "3", _halve(ops, maps)))


def _head(ops: Any, network: GoogLeNet, maps: Any) -> Any:
    maps = _halve(ops, _modules(ops, network, "4", maps), network.architecture.last_pool)
    features = ops.reduce_mean(_modules(ops, network, "5", maps), _numbers(ops, [2, 3]), keep_dims=False)
    weight, bias = (_constant(ops, value) for value in (network.classifier.weight, network.classifier.bias))
    return ops.add(ops.matmul(features, weight, False, True), bias)


def _modules(ops: Any, network: GoogLeNet, stage: str, maps: Any) -> Any:
    for name in network.modules_of(stage):
        module = network.get_submodule(f"inception_{name}")
        assert isinstance(module, Inception)
        pooled = ops.max_pool(maps, [1, 1], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
        branches = [
            _convolve(ops, module.conv_1x1, maps),
            _convolve(ops, module.conv_3x3, _convolve(ops, module.reduce_3x3, maps)),
            _convolve(ops, module.conv_5x5, _convolve(ops, module.reduce_5x5, maps)),
            _convolve(ops, module.pool_projection, pooled),
        ]
        maps = ops.concat(branches, 1)
    return maps


def _convolve(ops: Any, layer: torch.nn.Module, maps: Any) -> Any:
    assert isinstance(layer, ConvReLU)
    assert layer.bias is not None
    border = list(layer.padding)
    result = ops.convolution(maps, _constant(ops, layer.weight), list(layer.stride), border, border, [1, 1])
    return ops.relu(ops.add(result, _constant(ops, layer.bias.view(1, -1, 1, 1))))


def _normalise(ops: Any, layer: torch.nn.Module, maps: Any) -> Any:
    assert isinstance(layer, LocalResponseNorm)
    return ops.lrn(maps, _numbers(ops, [1]), layer.alpha, 0.75, layer.k, layer.size)


def _halve(ops: Any, maps: Any, size: int = 3) -> Any:
    return ops.max_pool(maps, [2, 2], [1, 1], [0, 0], [0, 0], [size, size], "ceil").output(0)


def _constant(ops: Any, value: Tensor) -> Any:
    return ops.constant(value.detach().float().cpu().numpy())


def _numbers(ops: Any, values: list[int]) -> Any:
    return ops.constant(np.array(values, np.int64))
