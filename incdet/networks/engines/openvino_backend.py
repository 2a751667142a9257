"""GoogLeNet computed by OpenVINO from the same weights, whole or as trunk and head: faster on CPUs than torch."""

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from incdet.errors import ConfigurationError, PackageError, WeightsError
from incdet.networks.box_regression import CELLS
from incdet.networks.conv_units import ConvReLU
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception
from incdet.networks.response_norm import LocalResponseNorm
from incdet.runtime.device import cpu_flags

Precision = Literal["float32", "bfloat16", "int8"]

BATCH = 4
"""Number of rows of one inference; several inferences run side by side."""


class OpenVinoBackend:
    """Computes a network by OpenVINO; see `Backend`. Trunk, head and the whole are compiled when first needed.

    Args:
        network: the published network; see `check_network`.
        precision: arithmetic of the layers. Crops, feature maps and results are float32; "int8" multiplies in eight
            bits.
        ranges: name of each feature map that is quantized -> its largest value, for "int8"; see
            `networks/calibration.py`.

    Raises:
        PackageError: OpenVINO is not installed.
        ConfigurationError: the network is one of the variants.
        WeightsError: eight bits without the ranges of all feature maps.
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
            raise WeightsError(
                "eight bits need the ranges of the network's feature maps; measure them with `incdet weights calibrate`"
            )
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, tuple[int, ...]], list[Any]] = {}

    def trunk(self, crops: Tensor) -> Tensor:
        """Computes stages 1 to 3; see `Backend.trunk`."""
        return self._run("trunk", crops)

    def head(self, feature_maps: Tensor) -> Tensor:
        """Computes the rest of the network; see `Backend.head`."""
        return self._run("head", feature_maps)

    def full(self, crops: Tensor) -> Tensor:
        """Computes trunk and head; see `Backend.full`."""
        return self._run("full", crops)

    def photo_features(self, photo: Tensor) -> Tensor:
        """Computes stages 1 to 4 of one photo; see `Backend.photo_features`."""
        return self._run("photo_features", photo)

    def region_head(self, pooled: Tensor) -> Tensor:
        """Computes the rest of the network for pooled regions; see `Backend.region_head`."""
        return self._run("region_head", pooled)

    def _run(self, part: str, rows: Tensor) -> Tensor:
        # an inference request holds one result: threads that share a detector take turns
        with self._lock:
            return self._run_alone(part, rows)

    def _run_alone(self, part: str, rows: Tensor) -> Tensor:
        shape = tuple(rows.shape[1:])
        if (part, shape) not in self._requests:
            self._requests[part, shape] = self._compile(part, shape)
        requests = self._requests[part, shape]
        # pieces of `BATCH` rows, the last one filled up with zeros
        inputs = rows.float().contiguous().numpy()
        batch = 1 if part == "photo_features" else BATCH
        pieces = [inputs[start : start + batch] for start in range(0, max(len(inputs), 1), batch)]
        if missing := batch - len(pieces[-1]):
            pieces[-1] = np.concatenate([pieces[-1], np.zeros((missing, *shape), np.float32)])
        outputs: list[np.ndarray] = []
        # every request works on one piece; it is started again as soon as its result has been fetched
        try:
            for number in range(len(pieces) + len(requests)):
                request = requests[number % len(requests)]
                if number >= len(requests):
                    # requests finish in the order in which they were started, so results keep the order of the rows
                    request.wait()
                    outputs.append(request.get_output_tensor(0).data.copy())
                if number < len(pieces):
                    request.start_async({0: pieces[number]})
        finally:
            # an interruption leaves no request running, which the next rows would meet
            for request in requests:
                request.wait()
        return torch.from_numpy(np.concatenate(outputs)[: len(rows)])

    def _compile(self, part: str, shape: tuple[int, ...]) -> list[Any]:
        """Compiles a part of the network for rows of one shape; returns the requests that run side by side."""
        openvino = openvino_package()
        builder = _Builder(self.network, self.ranges)
        parameter = builder.ops.parameter([1 if part == "photo_features" else BATCH, *shape], np.float32)
        result = getattr(builder, part)(parameter)
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
    """The package `openvino`, imported when it is needed.

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
    """OpenVINO's core object, kept to the end: once it is released, Ctrl-C crashes the process (OpenVINO 2026.4)."""
    return openvino_package().Core()


def check_network(network: GoogLeNet) -> None:
    """Refuses networks that this backend cannot build: batch normalisation, naive modules, a separable convolution.

    Raises:
        ConfigurationError: the network is one of these variants.
    """
    if not network.architecture.plain:
        name = network.architecture.name
        raise ConfigurationError(
            f"OpenVINO's backend does not know the network '{name}'; leave out scores.engine=openvino"
        )


class _Builder:
    """Builds the network out of OpenVINO's operations.

    Where there are ranges, the inputs and the weights of every convolution pass an operation that rounds them to eight
    bits and back ("fake quantize"). OpenVINO's compiler moves these operations into the convolutions, which then run on
    integers.

    Args:
        network: the published network.
        ranges: name of a feature map -> its largest value; empty computes without eight bits.
    """

    def __init__(self, network: GoogLeNet, ranges: Mapping[str, float]):
        from openvino import opset8

        self.ops, self.network, self.ranges = opset8, network, ranges

    def trunk(self, crops: Any) -> Any:
        network = self.network
        feature_maps = self._pool_down(self._convolve(network.conv1, self._quantize(crops, "crops", signed=True)))
        feature_maps = self._quantize(self._normalise(network.norm1, feature_maps), "norm1")
        feature_maps = self._quantize(self._convolve(network.conv2_reduce, feature_maps), "conv2_reduce")
        feature_maps = self._quantize(
            self._normalise(network.norm2, self._convolve(network.conv2, feature_maps)), "norm2"
        )
        return self._pool_down(self._modules("3", self._pool_down(feature_maps)))

    def full(self, crops: Any) -> Any:
        return self.head(self.trunk(crops))

    def head(self, feature_maps: Any) -> Any:
        before = self.network.modules_of("3")[-1]
        feature_maps = self._modules("4", self._quantize(feature_maps, f"inception_{before}"))
        return self.region_head(self._pool_down(feature_maps, self.network.architecture.last_pool))

    def photo_features(self, photo: Any) -> Any:
        before = self.network.modules_of("3")[-1]
        return self._modules("4", self._quantize(self.trunk(photo), f"inception_{before}"))

    def region_head(self, pooled: Any) -> Any:
        feature_maps = self._modules("5", pooled)
        logits = self._linear(
            self.network.classifier, self.ops.reduce_mean(feature_maps, self._numbers([2, 3]), keep_dims=False)
        )
        regressor = self.network.box_regressor
        if regressor is None:
            return logits
        cells = self.ops.adaptive_avg_pool(feature_maps, self._numbers([CELLS, CELLS]))
        features = self.ops.reshape(cells, self._numbers([0, -1]), special_zero=True)
        return self.ops.concat([logits, self._linear(regressor.linear, features)], 1)

    def _modules(self, stage: str, feature_maps: Any) -> Any:
        # no convolution follows the last module, so its result is not quantised
        last = self.network.modules_of("5")[-1]
        for name in self.network.modules_of(stage):
            full_name = f"inception_{name}"
            module = self.network.get_submodule(full_name)
            assert isinstance(module, Inception)
            pooled = self.ops.max_pool(feature_maps, [1, 1], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
            reduced_3x3 = self._quantize(self._convolve(module.reduce_3x3, feature_maps), f"{full_name}.reduce_3x3")
            reduced_5x5 = self._quantize(self._convolve(module.reduce_5x5, feature_maps), f"{full_name}.reduce_5x5")
            branches = [
                self._convolve(module.conv_1x1, feature_maps),
                self._convolve(module.conv_3x3, reduced_3x3),
                self._convolve(module.conv_5x5, reduced_5x5),
                self._convolve(module.pool_projection, pooled),
            ]
            # quantised before they are joined, so that integers are joined
            if name != last:
                branches = [self._quantize(branch, full_name) for branch in branches]
            feature_maps = self.ops.concat(branches, 1)
        return feature_maps

    def _quantize(self, feature_maps: Any, name: str, signed: bool = False) -> Any:
        if not self.ranges:
            return feature_maps
        if name not in self.ranges:
            raise WeightsError(
                f"the ranges of these weights lack '{name}'; measure them with `incdet weights calibrate`"
            )
        high = self.ranges[name]
        ends = [self.ops.constant(np.float32(end)) for end in (-high if signed else 0.0, high)]
        return self.ops.fake_quantize(feature_maps, *ends, *ends, 255 if signed else 256)

    def _convolve(self, layer: torch.nn.Module, feature_maps: Any) -> Any:
        assert isinstance(layer, ConvReLU)
        assert layer.bias is not None
        weight = self._constant(layer.weight)
        if self.ranges:
            # the range of each filter is symmetric around zero
            largest = layer.weight.detach().float().abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
            end = largest * 2 ** _spare_bits()
            ends = [self._constant(-end), self._constant(end)]
            weight = self.ops.fake_quantize(weight, *ends, *ends, 255)
        border = list(layer.padding)
        result = self.ops.convolution(feature_maps, weight, list(layer.stride), border, border, [1, 1])
        return self.ops.relu(self.ops.add(result, self._constant(layer.bias.view(1, -1, 1, 1))))

    def _linear(self, layer: torch.nn.Linear, features: Any) -> Any:
        product = self.ops.matmul(features, self._constant(layer.weight), False, True)
        return self.ops.add(product, self._constant(layer.bias))

    def _normalise(self, layer: torch.nn.Module, feature_maps: Any) -> Any:
        assert isinstance(layer, LocalResponseNorm)
        return self.ops.lrn(feature_maps, self._numbers([1]), layer.alpha, 0.75, layer.k, layer.size)

    def _pool_down(self, feature_maps: Any, size: int = 3) -> Any:
        return self.ops.max_pool(feature_maps, [2, 2], [1, 1], [0, 0], [0, 0], [size, size], "ceil").output(0)

    def _constant(self, value: Tensor) -> Any:
        return self.ops.constant(value.detach().float().cpu().numpy())

    def _numbers(self, values: list[int]) -> Any:
        return self.ops.constant(np.array(values, np.int64))


def _spare_bits() -> int:
    """Number of bits of a weight that stay unused, so that the sum of two products of eight bits fits in sixteen.

    Only processors without "VNNI" instructions add the products in sixteen bits; the others need no spare bit.
    """
    return 0 if cpu_flags() & {"avx512_vnni", "avx_vnni", "amx_int8"} else 1
