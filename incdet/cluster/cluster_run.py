"""A run on a cluster: parts of the listing go to workers, dead workers' parts are done again, progress is told.

Plain actors and a window of one part for each worker take the place of Ray Data here: the unit of work is the unit of
the results, so that a repeated run knows by the files alone what is done, a part has one name and is stored in one step
whoever finishes it, and a photo that kills its workers is found and passed over. Ray Data would plan blocks of its own,
which end in other files after every restart, and gives up a whole run, or whole blocks, for such a photo.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from incdet.cluster.listing_parts import Listing, choose_part_size
from incdet.cluster.part_files import Format
from incdet.cluster.part_tries import PartTries
from incdet.cluster.part_worker import PartReport, PartTask, WorkerSetup
from incdet.cluster.photo_inputs import Inputs, Listed
from incdet.cluster.photo_work import PhotoWork
from incdet.cluster.run_state import PROBE_NAME, RunState
from incdet.cluster.worker_slots import Ended, WorkerChoice, WorkerSlots

TELL_SECONDS = 1.0
"""Time between two looks at the progress."""


@dataclass
class NodeShare:
    """What one node has done.

    Attributes:
        num_photos: Number of photos.
        num_failed: Number of photos without a result.
        worker_seconds: Time of all its workers on finished parts.
    """

    num_photos: int = 0
    num_failed: int = 0
    worker_seconds: float = 0.0


@dataclass
class Progress:
    """What a run has done so far.

    Attributes:
        num_photos: Number of photos done by this run, those of unfinished parts included.
        num_failed: Number of photos of this run without a result, in finished parts.
        num_earlier_parts: Number of parts that earlier runs have done.
        num_parts: Number of parts listed so far.
        num_finished_parts: Number of parts that are done, earlier ones included.
        num_listed: Number of photos listed; None while the listing goes on, and where shards hide their number.
        num_nodes: Number of nodes that are alive.
        num_workers: Number of workers that are ready.
        seconds: Time since the first worker was ready.
        by_node: Name of a node -> its share of the work.
        num_retries: Number of times that a part was lost with its worker and begun again.
    """

    num_photos: int = 0
    num_failed: int = 0
    num_earlier_parts: int = 0
    num_parts: int = 0
    num_finished_parts: int = 0
    num_listed: int | None = None
    num_nodes: int = 0
    num_workers: int = 0
    seconds: float = 0.0
    by_node: dict[str, NodeShare] = field(default_factory=dict)
    num_retries: int = 0


Tell = Callable[[Progress], None]
"""A function that is told the progress every second."""


@dataclass(frozen=True)
class RunRequest:
    """What a run shall do.

    Attributes:
        work: Work on photos.
        inputs: Photos and shards; read once, as a stream.
        input_names: Inputs as they were given, for the description of the results.
        local_places: Absolute paths of inputs that every node must see.
        place: Folder or address of the results.
        form: Form of the results.
        part_size: Number of photos of a part; None fits it to the number of photos.
        overwrite: Whether earlier results are replaced.
        workers: Workers that are wanted.
    """

    work: PhotoWork
    inputs: Inputs
    input_names: Sequence[str]
    local_places: Sequence[str]
    place: str
    form: Format = "parquet"
    part_size: int | None = None
    overwrite: bool = False
    workers: WorkerChoice = field(default_factory=WorkerChoice)


class ClusterRun:
    """One run, after `connect`.

    Args:
        request: The run that is wanted.

    Attributes:
        state: The results and the state.
        progress: Counts of the work done so far.
        slots: The workers; None before the run.
        has_changed: Whether the inputs were found changed since an interrupted listing.

    Raises:
        IncdetError: The place of the results cannot be used, or holds other results.
    """

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._description = request.work.describe()
        self.state = RunState(request.place, request.form, request.work.kind)
        self.state.begin(self._description, request.input_names, request.overwrite)
        self.progress = Progress(num_earlier_parts=len(self.state.done))
        self._listing = Listing(self.state.store, self.state.forget)
        self._next_part = 0
        self._retries: deque[PartTries] = deque()
        self._tries: dict[int, PartTries] = {}
        self._started: float | None = None
        self._is_complete = False
        self.slots: WorkerSlots | None = None

    @property
    def has_changed(self) -> bool:
        """Whether the inputs were found changed since an interrupted listing."""
        return self._listing.has_changed

    def __enter__(self) -> "ClusterRun":
        return self

    def __exit__(self, *_: object) -> None:
        """Lets the place of the results go, and marks it where all parts are there."""
        self._listing.stop()
        if not self._is_complete:
            self.state.release()
        elif self._listing.num_parts:
            self.state.end()
        else:
            # nothing was found: the corrected command finds the place free
            self.state.discard()

    @property
    def input_failures(self) -> list[str]:
        """Sentences about inputs that name no photo."""
        return self._listing.failures

    def is_finished(self) -> bool:
        """Whether earlier runs have done all parts, so that no cluster is needed."""
        if not self._listing.load() or len(self.state.done) < self._listing.num_parts:
            return False
        self._is_complete = True
        self._tell(lambda _: None, None)
        return True

    def run(self, tell: Tell) -> None:
        """Works until all parts are done.

        Args:
            tell: Function that is told the progress.

        Raises:
            IncdetError: A node cannot do the work, or the place of the results cannot be written to.
            KeyboardInterrupt: The user has stopped the run; parts under way are dropped.
        """
        self.slots = slots = self._make_slots()
        try:
            slots.check_nodes()
            self._begin_listing(slots.num_wanted)
            self._work(slots, tell)
            self._is_complete = True
        finally:
            slots.stop()

    def _make_slots(self) -> WorkerSlots:
        request, store = self._request, self.state.store
        num_cores = request.workers.cpus_per_worker
        setup = WorkerSetup(request.work, store.place, request.form, self._description, num_cores)
        places = list(request.local_places)
        if store.place.startswith("/"):
            places.append(f"{store.place}/{PROBE_NAME}")
        return WorkerSlots(request.workers, setup, places)

    def _begin_listing(self, num_workers: int) -> None:
        if self._listing.is_complete:
            return
        inputs: Iterator[Listed] = iter(self._request.inputs)
        part_size = self.state.part_size or self._request.part_size
        if part_size is None:
            part_size, inputs = choose_part_size(inputs, num_workers)
        self.state.keep_part_size(part_size)
        self._listing.start(inputs, part_size, self._request.inputs.failures)

    def _work(self, slots: WorkerSlots, tell: Tell) -> None:
        told = 0.0
        while True:
            self._listing.check()
            # looked at first, because the listing may become complete meanwhile
            is_listed = self._listing.is_complete
            slots.start_missing(self._num_left(slots))
            self._hand_out(slots)
            for ended in slots.wait(TELL_SECONDS):
                self._take(ended)
            if self._started is None and any(slot.node for slot in slots.slots):
                self._started = time.monotonic()
            if time.monotonic() - told >= TELL_SECONDS:
                slots.ask_progress()
                self._tell(tell, slots)
                told = time.monotonic()
            if is_listed and not self._num_left(slots):
                self._tell(tell, slots)
                return

    def _num_left(self, slots: WorkerSlots) -> int:
        """Returns the number of parts that are not done, as far as they are listed."""
        under_way = sum(slot.task is not None for slot in slots.slots)
        return self._listing.num_parts - self._next_part + len(self._retries) + under_way

    def _hand_out(self, slots: WorkerSlots) -> None:
        for slot in slots.idle():
            task = self._next_task()
            if task is None:
                return
            slots.give(slot, task)

    def _next_task(self) -> PartTask | None:
        """Returns the next part to work on; None where all that are listed are done or under way."""
        while self._next_part < self._listing.num_parts:
            number = self._next_part
            self._next_part += 1
            if number not in self.state.done:
                return PartTask(number)
        if not self._retries:
            return None
        # parts of dead workers come last: a part that kills workers must not hold up the others
        tries = self._retries.popleft()
        self.state.forget_note(tries.number)
        return tries.task()

    def _take(self, ended: Ended) -> None:
        """Notes the end of a part, or puts it back where its worker has died."""
        number = ended.task.number
        if ended.report is None:
            tries = self._tries.setdefault(number, PartTries(number))
            tries.died(self.state.noted_position(number) if ended.task.is_careful else None, ended.cause)
            self._retries.append(tries)
            self.progress.num_retries += 1
            return
        self._tries.pop(number, None)
        self.state.done.add(number)
        self._count(ended.report, ended.node)

    def _count(self, report: PartReport, node: str) -> None:
        progress = self.progress
        progress.num_failed += report.num_failed
        share = progress.by_node.setdefault(node, NodeShare())
        share.num_photos += report.num_photos
        share.num_failed += report.num_failed
        share.worker_seconds += report.seconds

    def _tell(self, tell: Tell, slots: WorkerSlots | None) -> None:
        progress, listing = self.progress, self._listing
        finished = sum(share.num_photos for share in progress.by_node.values())
        progress.num_photos = finished + (0 if slots is None else slots.num_under_way())
        progress.num_parts, progress.num_finished_parts = listing.num_parts, len(self.state.done)
        progress.num_listed = listing.num_photos if listing.is_complete and not listing.has_shards else None
        if slots is not None:
            progress.num_nodes = slots.num_nodes
            progress.num_workers = sum(slot.node is not None for slot in slots.slots)
        if self._started is not None:
            progress.seconds = time.monotonic() - self._started
        tell(progress)
