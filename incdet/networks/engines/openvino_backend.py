"""GoogLeNet computed by OpenVINO, in two halves or whole, from the same weights: faster on CPUs than torch."""

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from incdet.errors import ConfigurationError, PackageError, WeightsError
from incdet.networks.box_regression import CELLS
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import ConvReLU, Inception, LocalResponseNorm
from incdet.runtime.device import cpu_flags

Precision = Literal["float32", "bfloat16", "int8"]

BATCH = 4
"""Rows of one inference; several run side by side."""


class OpenVinoBackend:
    """A network's halves as compiled models, each made when first needed.

    Args:
        network: as published; see `check_network`.
        precision: of the arithmetic; what goes in and out is float32. "int8" multiplies in eight bits.
        ranges: for "int8": largest value of each map that is quantized; see `networks/calibration.py`.

    Raises:
        PackageError: OpenVINO is not installed.
        ConfigurationError: the network is one of the variants.
        WeightsError: eight bits without the ranges of all maps.
    """

    def __init__(
        self,
        network: GoogLeNet,
        precision: Precision = "float32",
        ranges: Mapping[str, float] | None = None,
    ) -> None:
        openvino_package()
        check_network(network)
        self.network, self.precision = network, precision
        self.ranges = dict(ranges or {}) if precision == "int8" else {}
        if precision == "int8" and not self.ranges:
            raise WeightsError("eight bits need the ranges of the network's maps; see tools/calibrate_int8.py")
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, tuple[int, ...]], list[Any]] = {}

    def trunk(self, crops: Tensor) -> Tensor:
        """As `GoogLeNet.trunk`."""
        return self._run("trunk", crops)

    def head(self, maps: Tensor) -> Tensor:
        """As `GoogLeNet.head`."""
        return self._run("head", maps)

    def full(self, crops: Tensor) -> Tensor:
        """Both, without the wait between them."""
        return self._run("full", crops)

    def _run(self, half: str, rows: Tensor) -> Tensor:
        # a request holds one answer: threads that share a detector take turns
        with self._lock:
            return self._run_alone(half, rows)

    def _run_alone(self, half: str, rows: Tensor) -> Tensor:
        shape = tuple(rows.shape[1:])
        if (half, shape) not in self._requests:
            self._requests[half, shape] = self._compile(half, shape)
        requests = self._requests[half, shape]
        inputs = rows.float().contiguous().numpy()
        pieces = [inputs[start : start + BATCH] for start in range(0, max(len(inputs), 1), BATCH)]
        if missing := BATCH - len(pieces[-1]):
            pieces[-1] = np.concatenate([pieces[-1], np.zeros((missing, *shape), np.float32)])
        outputs: list[np.ndarray] = []
        try:
            for number in range(len(pieces) + len(requests)):
                request = requests[number % len(requests)]
                if number >= len(requests):
                    # in the order in which they were started
                    request.wait()
                    outputs.append(request.get_output_tensor(0).data.copy())
                if number < len(pieces):
                    request.start_async({0: pieces[number]})
        finally:
            # an interruption leaves none running for the next rows to meet
            for request in requests:
                request.wait()
        return torch.from_numpy(np.concatenate(outputs)[: len(rows)])

    def _compile(self, half: str, shape: tuple[int, ...]) -> list[Any]:
        """Inference requests of a compiled half, as many as run side by side."""
        openvino = openvino_package()
        builder = _Builder(self.network, self.ranges)
        parameter = builder.ops.parameter([BATCH, *shape], np.float32)
        result = {"trunk": builder.trunk, "head": builder.head, "full": builder.full}[half](parameter)
        hints = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,
        }
        compiled = _core().compile_model(openvino.Model([result], [parameter]), "CPU", hints)
        number = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        return [compiled.create_infer_request() for _ in range(number)]


def openvino_package() -> Any:
    """The package.

    Raises:
        PackageError: it is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise PackageError(
            "scores.engine=openvino needs OpenVINO, which is not installed: pip install 'incdet[openvino]'"
        ) from None
    return openvino


@cache
def _core() -> Any:
    """OpenVINO itself, kept to the end: once it has been released, Ctrl-C ends the process with a crash (2026.4)."""
    return openvino_package().Core()


def check_network(network: GoogLeNet) -> None:
    """Refuses what this engine cannot build: batch normalisation, naive modules, a separable convolution.

    Raises:
        ConfigurationError: the network is one of those variants.
    """
    if not network.architecture.plain:
        name = network.architecture.name
        raise ConfigurationError(
            f"OpenVINO's engine does not know the network '{name}'; leave out scores.engine=openvino"
        )


class _Builder:
    """Builds the halves out of OpenVINO's operations.

    Where there are ranges, what enters a convolution passes a pair of rounding steps ("fake quantize"), as do its
    weights: OpenVINO's compiler moves them into the convolutions around, which then run on integers of eight bits.
    """

    def __init__(self, network: GoogLeNet, ranges: Mapping[str, float]):
        from openvino import opset8

        self.ops, self.network, self.ranges = opset8, network, ranges

    def trunk(self, crops: Any) -> Any:
        network = self.network
        maps = self._halve(self._convolve(network.conv1, self._quantize(crops, "crops", signed=True)))
        maps = self._quantize(self._normalise(network.norm1, maps), "norm1")
        maps = self._quantize(self._convolve(network.conv2_reduce, maps), "conv2_reduce")
        maps = self._quantize(self._normalise(network.norm2, self._convolve(network.conv2, maps)), "norm2")
        return self._halve(self._modules("3", self._halve(maps)))

    def full(self, crops: Any) -> Any:
        return self.head(self.trunk(crops))

    def head(self, maps: Any) -> Any:
        before = self.network.modules_of("3")[-1]
        maps = self._modules("4", self._quantize(maps, f"inception_{before}"))
        maps = self._modules("5", self._halve(maps, self.network.architecture.last_pool))
        logits = self._linear(
            self.network.classifier, self.ops.reduce_mean(maps, self._numbers([2, 3]), keep_dims=False)
        )
        regressor = self.network.box_regressor
        if regressor is None:
            return logits
        cells = self.ops.adaptive_avg_pool(maps, self._numbers([CELLS, CELLS]))
        features = self.ops.reshape(cells, self._numbers([0, -1]), special_zero=True)
        return self.ops.concat([logits, self._linear(regressor.linear, features)], 1)

    def _modules(self, stage: str, maps: Any) -> Any:
        last = self.network.modules_of("5")[-1]  # no convolution follows it
        for name in self.network.modules_of(stage):
            full_name = f"inception_{name}"
            module = self.network.get_submodule(full_name)
            assert isinstance(module, Inception)
            pooled = self.ops.max_pool(maps, [1, 1], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
            reduced_3x3 = self._quantize(self._convolve(module.reduce_3x3, maps), f"{full_name}.reduce_3x3")
            reduced_5x5 = self._quantize(self._convolve(module.reduce_5x5, maps), f"{full_name}.reduce_5x5")
            branches = [
                self._convolve(module.conv_1x1, maps),
                self._convolve(module.conv_3x3, reduced_3x3),
                self._convolve(module.conv_5x5, reduced_5x5),
                self._convolve(module.pool_projection, pooled),
            ]
            # before they are joined, so that integers are joined
            if name != last:
                branches = [self._quantize(branch, full_name) for branch in branches]
            maps = self.ops.concat(branches, 1)
        return maps

    def _quantize(self, maps: Any, name: str, signed: bool = False) -> Any:
        if not self.ranges:
            return maps
        if name not in self.ranges:
            raise WeightsError(f"the ranges of these weights lack '{name}'; measure them with tools/calibrate_int8.py")
        high = self.ranges[name]
        ends = [self.ops.constant(np.float32(end)) for end in (-high if signed else 0.0, high)]
        return self.ops.fake_quantize(maps, *ends, *ends, 255 if signed else 256)

    def _convolve(self, layer: torch.nn.Module, maps: Any) -> Any:
        assert isinstance(layer, ConvReLU)
        assert layer.bias is not None
        weight = self._constant(layer.weight)
        if self.ranges:
            largest = layer.weight.detach().float().abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
            end = largest * 2 ** _spare_bits()
            ends = [self._constant(-end), self._constant(end)]
            weight = self.ops.fake_quantize(weight, *ends, *ends, 255)
        border = list(layer.padding)
        result = self.ops.convolution(maps, weight, list(layer.stride), border, border, [1, 1])
        return self.ops.relu(self.ops.add(result, self._constant(layer.bias.view(1, -1, 1, 1))))

    def _linear(self, layer: torch.nn.Linear, features: Any) -> Any:
        product = self.ops.matmul(features, self._constant(layer.weight), False, True)
        return self.ops.add(product, self._constant(layer.bias))

    def _normalise(self, layer: torch.nn.Module, maps: Any) -> Any:
        assert isinstance(layer, LocalResponseNorm)
        return self.ops.lrn(maps, self._numbers([1]), layer.alpha, 0.75, layer.k, layer.size)

    def _halve(self, maps: Any, size: int = 3) -> Any:
        return self.ops.max_pool(maps, [2, 2], [1, 1], [0, 0], [0, 0], [size, size], "ceil").output(0)

    def _constant(self, value: Tensor) -> Any:
        return self.ops.constant(value.detach().float().cpu().numpy())

    def _numbers(self, values: list[int]) -> Any:
        return self.ops.constant(np.array(values, np.int64))


def _spare_bits() -> int:
    """Bits of a weight that stay unused, so that the sum of two products of eight bits each fits in sixteen.

    Only processors without "VNNI" instructions add them in sixteen.
    """
    return 0 if cpu_flags() & {"avx512_vnni", "avx_vnni", "amx_int8"} else 1
