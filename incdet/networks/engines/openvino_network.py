"""GoogLeNet built out of OpenVINO's operations, in one piece or in parts, for `OpenVinoBackend`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.errors import WeightsError
from incdet.networks.box_regression import CELLS
from incdet.networks.conv_units import ConvReLU
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception
from incdet.networks.response_norm import LocalResponseNorm
from incdet.runtime.cpu_flags import cpu_flags


class NetworkBuilder:
    """Builds the network out of OpenVINO's operations.

    Crops and all feature maps are [B, C, H, W]. Whole photos and pooled regions are [B, H, W, C], which is their order
    in memory, so that nothing is copied on the way in. On the way out OpenVINO exchanges the axes slowly where the
    size is not known to its compiler (up to a third of the time of a photo in eight bits), so that is left to others.

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
        return self._stages_1_to_3(self._quantize(crops, "crops", signed=True))

    def full(self, crops: Any) -> Any:
        return self.head(self.trunk(crops))

    def head(self, feature_maps: Any) -> Any:
        before = self.network.modules_of("3")[-1]
        feature_maps = self._modules("4", self._quantize(feature_maps, f"inception_{before}"))
        return self._outputs(
            self._modules("5", self._pool_down(feature_maps, self.network.architecture.last_pool), exact_last=True)
        )

    def photo_features(self, photo: Any) -> Any:
        # quantised before the axes are exchanged: OpenVINO then lays out integers anew, or nothing at all
        trunk = self._stages_1_to_3(self._channels_first(self._quantize(photo, "crops", signed=True)))
        before = self.network.modules_of("3")[-1]
        # regions are pooled from exact feature maps, because `region_head` quantises what has been pooled
        return self._modules("4", self._quantize(trunk, f"inception_{before}"), exact_last=True)

    def region_head(self, pooled: Any) -> Any:
        before = self.network.modules_of("4")[-1]
        pooled = self._channels_first(self._quantize(pooled, f"inception_{before}"))
        return self._outputs(self._modules("5", pooled, exact_last=True))

    def _channels_first(self, rows: Any) -> Any:
        return self.ops.transpose(rows, self._numbers([0, 3, 1, 2]))

    def _stages_1_to_3(self, crops: Any) -> Any:
        network = self.network
        feature_maps = self._pool_down(self._convolve(network.conv1, crops))
        feature_maps = self._quantize(self._normalise(network.norm1, feature_maps), "norm1")
        feature_maps = self._quantize(self._convolve(network.conv2_reduce, feature_maps), "conv2_reduce")
        feature_maps = self._quantize(
            self._normalise(network.norm2, self._convolve(network.conv2, feature_maps)), "norm2"
        )
        return self._pool_down(self._modules("3", self._pool_down(feature_maps)))

    def _outputs(self, last_feature_maps: Any) -> Any:
        means = self.ops.reduce_mean(last_feature_maps, self._numbers([2, 3]), keep_dims=False)
        logits = self._linear(self.network.classifier, means)
        regressor = self.network.box_regressor
        if regressor is None:
            return logits
        features = self.ops.reshape(self._cells(last_feature_maps), self._numbers([0, -1]), special_zero=True)
        return self.ops.concat([logits, self._linear(regressor.linear, features)], 1)

    def _cells(self, feature_maps: Any) -> Any:
        """The means that the box regressor takes: [B, C, S, S] -> [B, C, CELLS, CELLS]."""
        size = int(feature_maps.shape[2])
        stride, rest = divmod(size, CELLS)
        if rest == CELLS - 1 or stride == 0:
            return self.ops.adaptive_avg_pool(feature_maps, self._numbers([CELLS, CELLS]))
        # Cell i reaches from floor(i S / 3) to ceil((i + 1) S / 3), for S = 7 from 0, 2, 4 to 3, 5, 7: equal windows at
        # equal distances. OpenVINO's adaptive pooling takes 31 % of the time of a region in eight bits, this 1 %.
        window = size - (CELLS - 1) * stride
        return self.ops.avg_pool(feature_maps, [stride] * 2, [0, 0], [0, 0], [window] * 2, exclude_pad=True)

    def _modules(self, stage: str, feature_maps: Any, exact_last: bool = False) -> Any:
        """The Inception modules of a stage; `exact_last` leaves the result of the last one without quantisation."""
        names = self.network.modules_of(stage)
        for name in names:
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
            if not (exact_last and name == names[-1]):
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
