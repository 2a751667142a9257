"""GoogLeNet computed by torch, whole or in two halves that an ensemble can share."""

import threading
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception

CPU_ROWS = 8
"""Rows at a time on a CPU: what they leave behind between two layers should stay in its caches."""

GRAPH_ROWS = 64
"""For so many rows a GPU needs less time than it takes to tell it what to do, operation by operation."""

Half = Callable[[Tensor], Tensor]
"""Rows [B, ...] -> what a half of the network says of each."""


def prepare_network(network: GoogLeNet, device: torch.device, precision: torch.dtype) -> GoogLeNet:
    """The network in the form it computes fastest: on the device, in `precision`, channels last, gradients off.

    Its weights must not change afterwards.
    """
    network.to(device, precision).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Inception):
            module.join()
    return network.eval()


class TorchBackend:
    """A prepared network's halves, computed by torch.

    Zeros fill batches up to a few sizes: oneDNN and cuDNN keep memory for every size that they have seen, and cuDNN
    takes its time for a new one.
    """

    def __init__(self, network: GoogLeNet):
        self.network = network
        made = _OnGpu if network.classifier.weight.device.type == "cuda" else _OnCpu
        self._trunk = made(network, network.trunk)
        self._head = made(network, lambda maps: network.head(maps).float())
        self._full = made(network, lambda crops: network.head(network.trunk(crops)).float())

    def trunk(self, crops: Tensor) -> Tensor:
        """As `GoogLeNet.trunk`."""
        return self._trunk(self._prepared(crops))

    def head(self, maps: Tensor) -> Tensor:
        """As `GoogLeNet.head`."""
        return self._head(maps)

    def full(self, crops: Tensor) -> Tensor:
        """Both, one after the other."""
        return self._full(self._prepared(crops))

    def _prepared(self, crops: Tensor) -> Tensor:
        return crops.to(self.network.classifier.weight.dtype).contiguous(memory_format=torch.channels_last)


class _OnCpu:
    """Computes a few rows at a time."""

    def __init__(self, _: GoogLeNet, half: Half):
        self.half = half

    def __call__(self, rows: Tensor) -> Tensor:
        return torch.cat([self.half(_filled_up(piece))[: len(piece)] for piece in torch.split(rows, CPU_ROWS)])


class _Recording(NamedTuple):
    """A half as a GPU has computed it once ("CUDA graph"): it always reads these rows and writes this answer."""

    graph: torch.cuda.CUDAGraph
    rows: Tensor
    answer: Tensor
    weights: list[Tensor]
    """Whose memory it reads, too, whatever becomes of the network."""


_one_recording_at_a_time = threading.Lock()


class _OnGpu:
    """Computes all rows; small batches are recorded, one for each size, and replayed."""

    def __init__(self, network: GoogLeNet, half: Half):
        self.network, self.half = network, half
        self._records = True
        self._recordings: dict[tuple[int, ...], _Recording] = {}
        # recordings share memory for what lies between their rows and their answer: threads take turns
        self._lock = threading.Lock()

    def __call__(self, rows: Tensor) -> Tensor:
        filled = _filled_up(rows)
        if self._records and 0 < len(filled) <= GRAPH_ROWS:
            with self._lock:
                recording = self._recordings.get(tuple(filled.shape)) or self._record(filled)
                if recording is not None:
                    recording.rows.copy_(filled)
                    recording.graph.replay()
                    return recording.answer[: len(rows)].clone()
        return self.half(filled)[: len(rows)]

    def _record(self, rows: Tensor) -> _Recording | None:
        """None where the GPU cannot: small batches are then computed as large ones are."""
        current = torch.cuda.current_stream(rows.device)
        try:
            # a recording that fails would leave its own stream behind
            with _one_recording_at_a_time, torch.cuda.stream(current), torch.inference_mode(False), torch.no_grad():
                recording = self._try_to_record(rows.clone(), current)
        except RuntimeError as error:
            self._records = False
            warnings.warn(f"the GPU does not replay small batches, which costs some time: {error}", stacklevel=2)
            return None
        self._recordings[tuple(rows.shape)] = recording
        return recording

    def _try_to_record(self, rows: Tensor, current: torch.cuda.Stream) -> _Recording:
        aside = torch.cuda.Stream(rows.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            # at first, libraries choose how to compute and take memory, which cannot be recorded
            for _ in range(2):
                self.half(rows)
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        others = next((recording.graph.pool() for recording in self._recordings.values()), None)
        with torch.cuda.graph(graph, pool=others, capture_error_mode="thread_local"):
            answer = self.half(rows)
        weights = [tensor.detach() for tensor in (*self.network.parameters(), *self.network.buffers())]
        return _Recording(graph, rows, answer, weights)


def _filled_up(rows: Tensor) -> Tensor:
    """Rows [B, ...] and zeros after them, up to the next of the sizes 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ..."""
    power = 1 << (len(rows) - 1).bit_length() if len(rows) else 0
    size = power * 3 // 4 if len(rows) <= power * 3 // 4 and power > 2 else power
    missing = size - len(rows)
    return F.pad(rows, [0] * (2 * rows.ndim - 1) + [missing]) if missing else rows
