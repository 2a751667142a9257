"""A worker of a cluster: loads its networks once and works on one part after the other."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from incdet.cluster.listing_parts import STATE_FOLDER, read_listing_part
from incdet.cluster.node_facts import NodeFacts, facts_of_node
from incdet.cluster.part_files import Format, open_writer, part_name
from incdet.cluster.part_photos import NamedPhoto, read_photos
from incdet.cluster.photo_inputs import Listed
from incdet.cluster.photo_work import PhotoWork
from incdet.cluster.result_store import ResultStore, open_store, write_content
from incdet.errors import DataError
from incdet.output.photo_lines import Line, error_line, is_error
from incdet.runtime.worker_processes import limit_cores


@dataclass(frozen=True)
class PartTask:
    """A part to work on.

    Attributes:
        number: Number of the part.
        is_careful: Whether the worker notes every photo before it fetches it, because an earlier worker died of
            this part and the photo that it died of must be found.
        hopeless: Position of a photo -> sentence about it, for photos that workers have died of.
    """

    number: int
    is_careful: bool = False
    hopeless: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PartReport:
    """A part that is done.

    Attributes:
        number: Number of the part.
        num_photos: Number of its photos.
        num_failed: Number of photos with an error instead of a result.
        seconds: Time that it took.
    """

    number: int
    num_photos: int
    num_failed: int
    seconds: float


@dataclass(frozen=True)
class WorkerSetup:
    """What every worker of a run is told.

    Attributes:
        work: Work on photos.
        place: Place of the results.
        form: Form of the results.
        description: Everything that decides the results, for the files' metadata.
        num_cores: Number of cores that a worker may use.
    """

    work: PhotoWork
    place: str
    form: Format
    description: Mapping[str, Any]
    num_cores: int


def note_name(number: int) -> str:
    """Returns the name of the file in which a careful worker notes the position of its photo."""
    return f"{STATE_FOLDER}/careful/part-{number:06d}.json"


def failures_name(number: int) -> str:
    """Returns the name of the file that lists the photos of a part without a result."""
    return f"{STATE_FOLDER}/failed/part-{number:06d}.jsonl"


class PartWorker:
    """Works on parts and stores their results.

    Args:
        setup: Settings that all workers share.

    Raises:
        IncdetError: The weights or the place of the results cannot be used.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        # before any library that counts cores is loaded
        limit_cores(setup.num_cores)
        self._setup = setup
        self._store: ResultStore = open_store(setup.place)
        self._lines = setup.work.start()
        self._num_done = 0

    def facts(self, places: Sequence[str]) -> NodeFacts:
        """Returns what the driver compares of this node; called once the worker is ready."""
        return facts_of_node(places)

    def num_done(self) -> int:
        """Returns the number of photos of the present part that are done."""
        return self._num_done

    def process_id(self) -> int:
        """Returns the id of this process on its node."""
        return os.getpid()

    def work_on(self, task: PartTask) -> PartReport:
        """Works on all photos of a part and stores their results under the part's name.

        Raises:
            IncdetError: The listing or the place of the results cannot be used.
        """
        started = time.perf_counter()
        self._num_done, failures = 0, list[Line]()
        setup = self._setup
        entries = read_listing_part(self._store, task.number)
        photos = self._photos_to_do(entries, task)
        with (
            self._store.writing(part_name(task.number, setup.form)) as stream,
            open_writer(stream, setup.form, setup.work.kind, setup.description) as writer,
        ):
            for line in self._with_hopeless(self._lines(photos, task.is_careful), task):
                writer.add(line)
                self._num_done += 1
                if is_error(line):
                    failures.append(line)
            # in front of the part itself, so that no finished part lacks them
            self._write_failures(task.number, failures)
        return PartReport(task.number, self._num_done, len(failures), time.perf_counter() - started)

    def _photos_to_do(self, entries: Sequence[Listed], task: PartTask) -> Iterator[NamedPhoto]:
        """Yields the photos that are worked on. Where the task is careful, each is noted before it is fetched."""
        self._names_of_hopeless: dict[int, str] = {}

        def note(position: int) -> None:
            write_content(self._store, note_name(task.number), json.dumps(position).encode())

        photos = read_photos(entries, note if task.is_careful else None, task.hopeless.keys())
        for position, photo in enumerate(photos):
            if position in task.hopeless:
                self._names_of_hopeless[position] = photo.name
                continue
            yield photo
            if task.is_careful:
                # what happens until the next photo is begun is no photo's fault
                self._store.remove(note_name(task.number))

    def _with_hopeless(self, lines: Iterator[Line], task: PartTask) -> Iterator[Line]:
        """Yields all lines in the order of the photos, those of hopeless photos with their errors."""
        position = 0
        left = sorted(task.hopeless)
        for line in lines:
            while left and left[0] == position:
                yield self._hopeless_line(left.pop(0), task)
                position += 1
            yield line
            position += 1
        for hopeless in left:
            yield self._hopeless_line(hopeless, task)

    def _hopeless_line(self, position: int, task: PartTask) -> Line:
        name = self._names_of_hopeless.get(position)
        if name is None:
            raise DataError(f"part {task.number} has changed during the run; run again")
        return error_line(name, f"cannot work on {name}: {task.hopeless[position]}")

    def _write_failures(self, number: int, failures: Sequence[Line]) -> None:
        if failures:
            content = "".join(f"{json.dumps(line)}\n" for line in failures)
            write_content(self._store, failures_name(number), content.encode())
        else:
            # an earlier try that died at its end may have left some
            self._store.remove(failures_name(number))
