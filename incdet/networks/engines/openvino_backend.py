"""GoogLeNet computed by OpenVINO from the same weights, whole or as trunk and head: faster on CPUs than torch."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.engines.openvino_cache import compiled_key, load_compiled, store_compiled, weights_digest
from incdet.networks.engines.openvino_network import NetworkBuilder
from incdet.networks.engines.openvino_presence import missing_openvino_error
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception
from incdet.ops.region_pooling_kernels import POOLED_SIZE
from incdet.runtime.forks import ProcessMark
from incdet.runtime.start_up import START_UP, compilation_begins

Precision = Literal["float32", "bfloat16", "int8"]

CROP_ROWS = 4
"""Number of crops, or of their feature maps, of one inference; several inferences run side by side."""

# Seconds of 192 pooled regions on one core (Zen 5) with 4, 16, 32 and 64 rows, as ratios to 8 rows: float32 0.99, 1.03,
# 1.05, 1.13; bfloat16 0.99, 0.99, 1.01, 1.04; int8 1.01, 1.00, 1.05, 1.13.
REGION_ROWS = 8
"""Number of pooled regions of one inference; few, so that what lies between two layers stays in the core's cache."""


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
        RuntimeError: this process is a fork of one that has compiled networks by OpenVINO.
    """

    def __init__(
        self,
        network: GoogLeNet,
        precision: Precision = "float32",
        ranges: Mapping[str, float] | None = None,
    ) -> None:
        openvino_package()
        if _first_use.cache_info().currsize:
            _first_use().require_same("an engine of OpenVINO")
        check_network(network)
        self.network, self.precision = network, precision
        self.ranges = dict(ranges or {}) if precision == "int8" else {}
        if precision == "int8" and not self.ranges:
            raise WeightsError(
                "eight bits need the ranges of the network's feature maps; measure them with `incdet weights calibrate`"
            )
        self._made_here = ProcessMark()
        self._lock = threading.Lock()
        self._weights_digest = b""
        self._requests: dict[tuple[str, tuple[int, ...]], list[Any]] = {}
        self._being_compiled: dict[tuple[str, tuple[int, ...]], Future[list[Any]]] = {}

    def prepare_shared_features(self) -> None:
        """Begins to compile `photo_features` and `region_head`; see `Backend.prepare_shared_features`."""
        last_module = self.network.get_submodule(f"inception_{self.network.modules_of('4')[-1]}")
        assert isinstance(last_module, Inception)
        self._begin_to_compile("photo_features", (1, -1, -1, 3))
        self._begin_to_compile("region_head", (REGION_ROWS, POOLED_SIZE, POOLED_SIZE, last_module.out_channels))

    def prepare_crops(self, size: int) -> None:
        """Begins to compile `full`; see `Backend.prepare_crops`."""
        self._begin_to_compile("full", (CROP_ROWS, 3, size, size))

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
        return self._run("photo_features", photo.permute(0, 2, 3, 1))

    def region_head(self, pooled: Tensor) -> Tensor:
        """Computes the rest of the network for pooled regions; see `Backend.region_head`."""
        return self._run("region_head", pooled.permute(0, 2, 3, 1))

    def _run(self, part: str, rows: Tensor) -> Tensor:
        self._made_here.require_same("an engine of OpenVINO")
        # an inference request holds one result: threads that share a detector take turns
        with self._lock:
            return self._run_alone(part, rows)

    def _run_alone(self, part: str, rows: Tensor) -> Tensor:
        shape = tuple(rows.shape[1:])
        batch = {"photo_features": 1, "region_head": REGION_ROWS}.get(part, CROP_ROWS)
        compiled_shape = (batch, -1, -1, 3) if part == "photo_features" else (batch, *shape)
        requests = self._requests_of(part, compiled_shape)
        # pieces of `batch` rows, the last one filled up with zeros
        inputs = rows.float().contiguous().numpy()
        pieces = [inputs[start : start + batch] for start in range(0, max(len(inputs), 1), batch)]
        if missing := batch - len(pieces[-1]):
            pieces[-1] = np.concatenate([pieces[-1], np.zeros((missing, *shape), np.float32)])
        layout = torch.channels_last if part == "photo_features" else torch.contiguous_format
        outputs = _infer(requests, pieces, layout)
        return outputs[0] if part == "photo_features" else torch.cat(outputs)[: len(rows)]

    def _requests_of(self, part: str, shape: tuple[int, ...]) -> list[Any]:
        """Returns the requests of a part, which is compiled now unless that has begun before."""
        if (part, shape) not in self._requests:
            begun = self._being_compiled.pop((part, shape), None)
            self._requests[part, shape] = self._compile(part, shape) if begun is None else begun.result()
        return self._requests[part, shape]

    def _begin_to_compile(self, part: str, shape: tuple[int, ...]) -> None:
        self._made_here.require_same("an engine of OpenVINO")
        with self._lock:
            if (part, shape) not in self._requests and (part, shape) not in self._being_compiled:
                self._being_compiled[part, shape] = _compiling_thread().submit(self._compile, part, shape)

    def _compile(self, part: str, shape: tuple[int, ...]) -> list[Any]:
        """Compiles a part of the network for inputs of one shape, or loads what an earlier process has compiled.

        Returns the requests that run side by side.

        A photo may have any size (-1). With the size left open, a photo takes 2 to 5 % longer than with a network that
        is compiled for its size alone, which is 1 % of the time with its regions; a new size takes 15 ms once and
        7 MB of memory. A network for each size would take 50 to 150 ms once, and 70 to 100 MB.
        """
        hints = {
            # all threads work on the one photo; of regions and crops, each thread takes its own
            "PERFORMANCE_HINT": "LATENCY" if part == "photo_features" else "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,
        }
        with START_UP.measure("compiled networks"):
            self._weights_digest = self._weights_digest or weights_digest(self.network)
            key = compiled_key(self._weights_digest, part, shape, self.ranges, hints)
            compiled = load_compiled(_core(), key, hints)
            if compiled is None:
                compilation_begins()
                builder = NetworkBuilder(self.network, self.ranges)
                parameter = builder.ops.parameter(list(shape), np.float32)
                result = getattr(builder, part)(parameter)
                compiled = _core().compile_model(openvino_package().Model([result], [parameter]), "CPU", hints)
                store_compiled(compiled, key)
        number = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        return [compiled.create_infer_request() for _ in range(number)]


@cache
def _compiling_thread() -> ThreadPoolExecutor:
    """The thread in which networks are compiled while others read photos and propose regions.

    Engines work only in the process that made them, so that no fork waits for a thread that it does not have.
    """
    _first_use()
    return ThreadPoolExecutor(1, thread_name_prefix="compiling-networks")


def _infer(requests: list[Any], pieces: list[np.ndarray], layout: torch.memory_format) -> list[Tensor]:
    """Computes pieces by requests that run side by side; returns one result in this layout for each piece."""
    outputs: list[Tensor] = []
    # every request works on one piece; it is started again as soon as its result has been fetched
    try:
        for number in range(len(pieces) + len(requests)):
            request = requests[number % len(requests)]
            if number >= len(requests):
                # requests finish in the order in which they were started, so results keep the order of the rows
                request.wait()
                # the request's own memory takes the next result
                outputs.append(torch.from_numpy(request.get_output_tensor(0).data).clone(memory_format=layout))
            if number < len(pieces):
                request.start_async({0: pieces[number]})
    finally:
        # an interruption leaves no request running, which the next rows would meet
        for request in requests:
            request.wait()
    return outputs


def openvino_package() -> Any:
    """The package `openvino`, imported when it is needed.

    Raises:
        PackageError: it is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise missing_openvino_error() from None
    return openvino


@cache
def _first_use() -> ProcessMark:
    """The process that used OpenVINO first; its forks inherit the core object without its threads."""
    return ProcessMark()


@cache
def _core() -> Any:
    """OpenVINO's core object, kept to the end: once it is released, Ctrl-C crashes the process (OpenVINO 2026.4)."""
    _first_use()
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
