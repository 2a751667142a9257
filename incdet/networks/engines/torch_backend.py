"""GoogLeNet computed by torch, whole or as trunk and head, which an ensemble can share."""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception

CPU_ROWS = 8
"""Rows that a CPU computes at a time: what they leave behind between two layers should stay in its caches."""

CPU_REGION_ROWS = 32
"""Pooled regions that a CPU computes at a time. Their feature maps are smaller than those of crops, so more rows fit in
the caches, and larger matrix products are faster: 8 rows at a time take 1.2 times as long in bfloat16 and 1.6 times in
float32, 192 rows 1.1 times and as long."""

MAX_GRAPH_ROWS = 64
"""Up to this number of rows a GPU needs less time to compute than to be told what to do, operation by operation."""

Part = Callable[[Tensor], Tensor]
"""A part of the network: rows [B, ...] -> its result for each row."""


def prepare_network(network: GoogLeNet, device: torch.device, precision: torch.dtype) -> GoogLeNet:
    """Brings a network into the form that is computed fastest: channels last, 1x1 convolutions joined, no gradients.

    Args:
        network: changed in place; its weights must not change afterwards.
        device: the device that computes.
        precision: torch.float32 or torch.bfloat16.

    Returns:
        The same network.
    """
    network.to(device, precision).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Inception):
            module.join()
    return network.eval()


class TorchBackend:
    """Computes a prepared network by torch; see `Backend`.

    Zeros fill batches up to one of a few sizes: oneDNN and cuDNN keep memory for every size that they have seen, and
    cuDNN takes its time for a new one.

    Args:
        network: a network that `prepare_network` returned.
    """

    def __init__(self, network: GoogLeNet):
        self.network = network
        self._trunk = _make_runner(network, network.trunk)
        self._head = _make_runner(network, lambda feature_maps: network.head(feature_maps).float())
        self._full = _make_runner(network, lambda crops: network.head(network.trunk(crops)).float())
        self._region_head = _make_runner(network, lambda pooled: network.region_head(pooled).float(), CPU_REGION_ROWS)

    def trunk(self, crops: Tensor) -> Tensor:
        """Computes stages 1 to 3; see `Backend.trunk`."""
        return self._trunk(self._prepared(crops))

    def head(self, feature_maps: Tensor) -> Tensor:
        """Computes the rest of the network; see `Backend.head`."""
        return self._head(feature_maps)

    def full(self, crops: Tensor) -> Tensor:
        """Computes trunk and head; see `Backend.full`."""
        return self._full(self._prepared(crops))

    def photo_features(self, photo: Tensor) -> Tensor:
        """Computes stages 1 to 4 of one photo; see `Backend.photo_features`.

        Photos come in a few sizes, and each is computed as it is. On a CPU a new size costs no time that could be
        measured, and its oneDNN primitives keep 5 MB in bfloat16 and 11 MB in float32. On a GPU a photo is large enough
        to hide the time of telling what to do, so that no graph is recorded for each size.
        """
        return self.network.photo_features(self._prepared(photo))

    def region_head(self, pooled: Tensor) -> Tensor:
        """Computes the rest of the network for pooled regions; see `Backend.region_head`."""
        return self._region_head(self._prepared(pooled))

    def prepare_shared_features(self) -> None:
        """Does nothing: torch compiles no network."""

    def prepare_crops(self, size: int) -> None:
        """Does nothing: torch compiles no network."""

    def _prepared(self, crops: Tensor) -> Tensor:
        return crops.to(self.network.classifier.weight.dtype).contiguous(memory_format=torch.channels_last)


def _make_runner(network: GoogLeNet, part: Part, cpu_rows: int = CPU_ROWS) -> Part:
    """Makes what computes a part of the network on the network's device, on a CPU `cpu_rows` rows at a time."""
    on_gpu = network.classifier.weight.device.type == "cuda"
    return _GpuRunner(network, part) if on_gpu else _CpuRunner(part, cpu_rows)


class _CpuRunner:
    """Computes a few rows at a time."""

    def __init__(self, part: Part, num_rows: int):
        self.part, self.num_rows = part, num_rows

    def __call__(self, rows: Tensor) -> Tensor:
        return torch.cat([self.part(_filled_up(piece))[: len(piece)] for piece in torch.split(rows, self.num_rows)])


@dataclass(frozen=True, eq=False)
class _Recording:
    """A part of the network as a GPU has computed it once ("CUDA graph").

    Attributes:
        graph: the recorded operations.
        rows: the memory that the graph reads.
        result: the memory that the graph writes.
        weights: the tensors that the graph reads, too; held here, so that they outlive the network.
    """

    graph: torch.cuda.CUDAGraph
    rows: Tensor
    result: Tensor
    weights: list[Tensor]


_recording_lock = threading.Lock()
"""CUDA records for one thread at a time."""


class _GpuRunner:
    """Computes all rows at once; small batches are recorded, one graph for each size, and replayed."""

    def __init__(self, network: GoogLeNet, part: Part):
        self.network, self.part = network, part
        self._can_record = True
        self._recordings: dict[tuple[int, ...], _Recording] = {}
        # graphs share memory for what lies between their rows and their result, so threads take turns
        self._lock = threading.Lock()

    def __call__(self, rows: Tensor) -> Tensor:
        filled = _filled_up(rows)
        if self._can_record and 0 < len(filled) <= MAX_GRAPH_ROWS:
            with self._lock:
                recording = self._recordings.get(tuple(filled.shape)) or self._record(filled)
                if recording is not None:
                    recording.rows.copy_(filled)
                    recording.graph.replay()
                    # the next replay overwrites the result
                    return recording.result[: len(rows)].clone()
        return self.part(filled)[: len(rows)]

    def _record(self, rows: Tensor) -> _Recording | None:
        """Records the part for this shape; None where the GPU cannot, and small batches are then computed as large."""
        current = torch.cuda.current_stream(rows.device)
        try:
            # a recording that fails would leave its own stream behind
            with _recording_lock, torch.cuda.stream(current), torch.inference_mode(False), torch.no_grad():
                recording = self._try_to_record(rows.clone(), current)
        except RuntimeError as error:
            self._can_record = False
            warnings.warn(f"the GPU does not replay small batches, which costs some time: {error}", stacklevel=2)
            return None
        self._recordings[tuple(rows.shape)] = recording
        return recording

    def _try_to_record(self, rows: Tensor, current: torch.cuda.Stream) -> _Recording:
        aside = torch.cuda.Stream(rows.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            # in the first runs libraries choose algorithms and take memory, which cannot be recorded
            for _ in range(2):
                self.part(rows)
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        shared_memory = next((recording.graph.pool() for recording in self._recordings.values()), None)
        with torch.cuda.graph(graph, pool=shared_memory, capture_error_mode="thread_local"):
            result = self.part(rows)
        weights = [tensor.detach() for tensor in (*self.network.parameters(), *self.network.buffers())]
        return _Recording(graph, rows, result, weights)


def _filled_up(rows: Tensor) -> Tensor:
    """Rows [B, ...] with zeros behind them, up to the next of the sizes 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ..."""
    power = 1 << (len(rows) - 1).bit_length() if len(rows) else 0
    size = power * 3 // 4 if len(rows) <= power * 3 // 4 and power > 2 else power
    missing = size - len(rows)
    return F.pad(rows, [0] * (2 * rows.ndim - 1) + [missing]) if missing else rows
