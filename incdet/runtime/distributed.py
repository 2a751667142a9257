"""Processes, on one machine or many, that train one network together: torch's own engine, started by `torchrun`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from incdet.runtime.device import choose_device
from incdet.runtime.process_rounds import join_round

PATIENCE = timedelta(hours=2)
"""Longest time that the others wait for the first process, which validates and prepares the data."""

FAREWELL = timedelta(seconds=10)
"""Longest time that a process at its end waits for the others, one of which may have failed alone."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that train together; alone unless `joined_processes` says otherwise.

    Attributes:
        rank: number of this process; 0 writes the files.
        count: number of processes.
        count_here: number of processes on this machine, which share its cores.
    """

    rank: int = 0
    count: int = 1
    count_here: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process logs, validates and writes."""
        return self.rank == 0

    def parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Wraps the network so that the backward pass gives the gradients of the mean over all processes.

        Batch normalisation sees the samples of its own process, as is usual; rank 0's statistics are kept.

        Args:
            network: the network, which is returned as it is where this process is alone.
            device: device that the network lies on.
        """
        if self.count == 1:
            return network
        devices = [device] if device.type == "cuda" else None
        # gradients that lie in the buckets that are sent need no second copy
        return DistributedDataParallel(network, device_ids=devices, gradient_as_bucket_view=True)

    def mean(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Averages scalars over all processes; every process must call it with the same names."""
        # one message for all terms
        values = torch.stack([term.detach().double() for term in terms.values()])
        if self.count > 1:
            distributed.all_reduce(values)
            values /= self.count
        return dict(zip(terms, values.tolist(), strict=True))

    def any(self, wish: bool) -> bool:
        """Whether any process has this wish; every process must ask after the same step."""
        if self.count == 1:
            return wish
        # NCCL sends tensors of GPUs only
        wishes = torch.tensor(float(wish), device="cuda" if distributed.get_backend() == "nccl" else "cpu")
        distributed.all_reduce(wishes, distributed.ReduceOp.MAX)
        return bool(wishes)

    def gather(self, names: list[str]) -> list[str]:
        """Returns the names of all processes, one process after the other."""
        if self.count == 1:
            return names
        lists: list[list[str]] = [[] for _ in range(self.count)]
        distributed.all_gather_object(lists, names)
        return [name for names in lists for name in names]

    def wait(self) -> None:
        """Waits until every process has come here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined_processes(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Processes]:
    """Connects the processes that `torchrun` started, by NCCL on GPUs and by gloo on CPUs.

    Every process on GPUs gets one of its own. A process that `torchrun` did not start is alone.

    Args:
        device: device that trains.

    Raises:
        ConfigurationError: the device is "cuda", and there is no usable GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    on_gpu = choose_device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, count = next(rendezvous("env://", timeout=PATIENCE))
    store = join_round(store, rank, count, PATIENCE)
    backend = "nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    is_broken = False
    try:
        yield Processes(rank, count, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    except RuntimeError:
        # torch's own error where another process has died, for which nobody needs to wait; torchrun starts all anew
        is_broken = True
        raise
    finally:
        if not is_broken:
            _leave_together(store, count)
        distributed.destroy_process_group()


def _leave_together(store: Store, count: int) -> None:
    """Waits until all processes have come here, or for a while if one never does.

    A process that closes its connections can take from another an answer that has arrived but was not yet fetched
    (gloo's "Connection closed by peer"); the store has connections of its own.
    """
    # an error means that the time is over or that the process with the store has gone; nobody is left to wait for
    with suppress(RuntimeError):
        if store.add("incdet/left", 1) == count:
            store.set("incdet/all_left", "")
        store.wait(["incdet/all_left"], FAREWELL)
