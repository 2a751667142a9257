"""The workers of a run as actors of Ray: started, given one part at a time, and replaced when they die."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from incdet.cluster.node_facts import NodeFacts
from incdet.cluster.part_worker import PartReport, PartTask, PartWorker, WorkerSetup
from incdet.cluster.ray_cluster import ClusterError, alive_nodes, check_facts, num_fitting, probe_nodes
from incdet.errors import ImageError, IncdetError, reason

MAX_FAILED_STARTS = 5
"""Number of workers in a row that may die before they are ready."""

LOOK_AT_NODES_SECONDS = 5.0
"""Time after which nodes that have joined or left are noticed."""


@dataclass(frozen=True)
class WorkerChoice:
    """The workers that a run wants.

    Attributes:
        cpus_per_worker: Number of CPUs of each.
        num_workers: Number of workers; None is as many as fit into the nodes that are there.
        use_gpu: Whether GPUs may be used where the cluster has some.
    """

    cpus_per_worker: int = 1
    num_workers: int | None = None
    use_gpu: bool = True


@dataclass
class Slot:
    """One worker.

    Attributes:
        actor: Ray's handle.
        pending: The call that is under way: facts at first, then a part; None while the worker is idle.
        task: The part under way.
        node: Name of the node; None until the worker is ready.
        num_done: Number of photos of the part under way that were done when the worker was asked last.
        progress: The call that asks for it, if one is under way.
    """

    actor: Any
    pending: Any
    task: PartTask | None = None
    node: str | None = None
    num_done: int = 0
    progress: Any = None


@dataclass(frozen=True)
class Ended:
    """A part whose work has ended.

    Attributes:
        task: The part.
        node: Name of the worker's node.
        report: The report of a finished part; None where the worker failed.
        cause: Words about a failure.
    """

    task: PartTask
    node: str
    report: PartReport | None = None
    cause: str = ""


class WorkerSlots:
    """All workers of a run.

    Args:
        choice: The workers that are wanted.
        setup: Settings that all workers share.
        places: Absolute paths that every node must see.

    Attributes:
        slots: The workers that are there or starting.
    """

    def __init__(self, choice: WorkerChoice, setup: WorkerSetup, places: Sequence[str]) -> None:
        self._choice, self._setup, self._places = choice, setup, places
        self.slots: list[Slot] = []
        self._failed_starts = 0
        self._looked = 0.0
        self.num_wanted = self.num_nodes = 0
        self._look_at_nodes()

    def check_nodes(self) -> None:
        """Makes sure that all nodes that are there now can do the work.

        Raises:
            ClusterError: No node is large enough, or one has other versions, or does not see what it needs.
        """
        nodes = self._working_nodes()
        if not nodes and self._choice.num_workers is None:
            raise ClusterError(
                f"no node of the cluster shares out {self._choice.cpus_per_worker} CPUs, which each worker wants; give "
                "fewer with --cpus-per-worker, or --cluster-workers N where an autoscaler starts nodes on demand"
            )
        for facts in probe_nodes(nodes, self._places):
            check_facts(facts)

    def _working_nodes(self) -> list[Any]:
        return [node for node in alive_nodes() if node.num_cpus >= self._choice.cpus_per_worker]

    def _look_at_nodes(self) -> None:
        if time.monotonic() - self._looked < LOOK_AT_NODES_SECONDS:
            return
        self._looked = time.monotonic()
        nodes = alive_nodes()
        self.num_nodes = len(nodes)
        choice = self._choice
        self.on_gpu = choice.use_gpu and any(node.num_gpus for node in nodes)
        fitting = num_fitting(nodes, choice.cpus_per_worker, self.on_gpu)
        # one that waits for a place lets Ray's autoscaler start a node
        self.num_wanted = max(choice.num_workers or fitting, 1)

    def start_missing(self, num_parts: int) -> None:
        """Starts workers that are missing.

        Args:
            num_parts: Number of parts that are left; no more workers are of any use.
        """
        import ray

        self._look_at_nodes()
        while len(self.slots) < min(self.num_wanted, num_parts):
            options: dict[str, Any] = {"num_cpus": self._choice.cpus_per_worker, "max_restarts": 0}
            if self.on_gpu:
                options["num_gpus"] = 1
            # one call works while another tells how far it is
            actor: Any = ray.remote(PartWorker).options(max_concurrency=2, **options).remote(self._setup)
            self.slots.append(Slot(actor, actor.facts.remote(list(self._places))))

    def idle(self) -> list[Slot]:
        """Returns the workers that wait for a part."""
        return [slot for slot in self.slots if slot.pending is None]

    def give(self, slot: Slot, task: PartTask) -> None:
        """Lets an idle worker begin with a part."""
        slot.task, slot.num_done = task, 0
        slot.pending = slot.actor.work_on.remote(task)

    def num_under_way(self) -> int:
        """Returns the number of photos of unfinished parts that are done."""
        return sum(slot.num_done for slot in self.slots)

    def wait(self, seconds: float) -> list[Ended]:
        """Waits for the end of parts, and takes in workers that have become ready.

        Args:
            seconds: Longest time to wait.

        Raises:
            IncdetError: Workers cannot be started, or cannot write their results.
        """
        import ray

        by_call = {slot.pending: slot for slot in self.slots if slot.pending is not None}
        if not by_call:
            time.sleep(min(seconds, 0.05))
            return []
        ready, _ = ray.wait(list(by_call), num_returns=1, timeout=seconds, fetch_local=False)
        if ready:
            # others that are ready, too
            ready, _ = ray.wait(list(by_call), num_returns=len(by_call), timeout=0, fetch_local=False)
        ended = []
        for call in ready:
            slot = by_call[call]
            if slot.task is None:
                self._take_in(slot)
            else:
                ended.append(self._end_part(slot))
        return ended

    def ask_progress(self) -> None:
        """Asks all busy workers how far they are, and takes the replies that are there."""
        import ray

        for slot in self.slots:
            if slot.progress is not None and ray.wait([slot.progress], timeout=0)[0]:
                reply, slot.progress = slot.progress, None
                try:
                    slot.num_done = ray.get(reply) if slot.task is not None else 0
                except ray.exceptions.RayError:
                    continue  # the end of the part tells what happened
            if slot.task is not None and slot.progress is None:
                slot.progress = slot.actor.num_done.remote()

    def stop(self) -> None:
        """Ends all workers at once; parts under way are dropped."""
        import ray

        for slot in self.slots:
            ray.kill(slot.actor, no_restart=True)
        self.slots = []

    def _take_in(self, slot: Slot) -> None:
        """Checks the node of a worker that is ready."""
        import ray

        try:
            facts: NodeFacts = ray.get(slot.pending)
        except ray.exceptions.RayTaskError as error:
            raise _own_error(error) or ClusterError(f"a worker cannot start: {_first_words(error)}") from None
        except ray.exceptions.RayError as error:
            self._drop(slot)
            self._note_failed_start(error)
            return
        check_facts(facts)
        self._failed_starts = 0
        slot.node, slot.pending = facts.node, None

    def _note_failed_start(self, error: Exception) -> None:
        """Counts workers that died before they were ready, and raises an error when there are too many."""
        own = _own_error(error)
        if own is not None:
            raise own from None
        self._failed_starts += 1
        if self._failed_starts == MAX_FAILED_STARTS:
            # a node without incdet is the likeliest reason, and has a sentence of its own
            self.check_nodes()
            raise ClusterError(
                f"{MAX_FAILED_STARTS} workers in a row died before they were ready: {_first_words(error)}; look at "
                "Ray's logs, or give workers more memory with fewer of them (--cluster-workers)"
            )

    def _end_part(self, slot: Slot) -> Ended:
        import ray

        task, node = slot.task, slot.node or ""
        assert task is not None
        call, slot.pending, slot.task, slot.progress, slot.num_done = slot.pending, None, None, None, 0
        try:
            return Ended(task, node, report=ray.get(call))
        except ray.exceptions.RayTaskError as error:
            own = _own_error(error)
            if own is not None:
                raise own from None
            # the worker is alive, but what it holds may be broken
            self._drop(slot)
            return Ended(task, node, cause=_first_words(error))
        except ray.exceptions.RayError as error:
            self._drop(slot)
            return Ended(task, node, cause=_first_words(error))

    def _drop(self, slot: Slot) -> None:
        """Gives a worker up. One that cannot be reached may be alive, so it is ended, too."""
        import ray

        self.slots.remove(slot)
        ray.kill(slot.actor, no_restart=True)


def _own_error(error: Exception) -> IncdetError | None:
    """Returns the error of incdet that a worker raised; None for anything else."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, IncdetError) and not isinstance(cause, ImageError) else None


def _first_words(error: Exception) -> str:
    """Returns what Ray says about the end of a worker, in a few words."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return f"{type(cause).__name__}: {reason(cause)}"[:200]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1][:200]
    text = next((line for line in lines if "died" in line or "memory" in line.lower()), lines[0] if lines else "died")
    return text[:200]
