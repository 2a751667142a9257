"""What `benchmarks/benchmark.py folder` measures: `incdet detect` on a whole folder, watched from outside (Linux)."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from incdet.errors import IncdetError
from incdet.runtime.worker_processes import num_cores


@dataclass
class Watch:
    """What a process and its descendants hold and use, sampled."""

    process: int
    times: list[float] = field(default_factory=list)
    gigabytes: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Adds a line; processes that are gone by then count nothing."""
        members = list(_descendants(self.process))
        self.times.append(time.perf_counter())
        self.gigabytes.append(sum(map(_resident_gigabytes, members)))
        self.cpu_seconds.append(sum(map(_cpu_seconds, members)))


def _descendants(process: int) -> Iterator[int]:
    yield process
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _descendants(int(child))


def _resident_gigabytes(process: int) -> float:
    """Without what other processes share: their copies of libraries would count many times."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0.0
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE") / 1e9


def _cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # its own time and that of children that have ended, each in user and in system mode
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measure_folder(
    files: Sequence[Path], options: Sequence[str], report: Callable[[int, str], None], every: float = 0.1
) -> dict[str, Any]:
    """Photos per second, memory and use of the processor once the first photo is done.

    Args:
        files: the photos.
        options: more of `incdet detect`.
        report: called with the number of photos done and a note.
        every: seconds between two samples.

    Raises:
        IncdetError: `incdet detect` failed, or did on some of the photos.
    """
    command = [sys.executable, "-m", "incdet", "detect", *map(str, files), "--json", "-", "--quiet", *options]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watch, done = Watch(process.pid), threading.Event()

    def keep_watching() -> None:
        while not done.wait(every):
            watch.sample()

    watcher = threading.Thread(target=keep_watching)
    watcher.start()
    ends = []
    assert process.stdout is not None
    try:
        for _ in process.stdout:
            ends.append(time.perf_counter())
            report(len(ends), "")
    finally:
        done.set()
        watcher.join()
        process.terminate()
    if process.wait() not in (0, -signal.SIGTERM) or len(ends) < len(files):
        found = f"exit code {process.returncode}, {len(ends)} of {len(files)} photos done"
        raise IncdetError(f"incdet detect failed ({found}), for what it says above; photos that cannot be read must go")
    return _figures(watch, started, ends)


def _figures(watch: Watch, started: float, ends: Sequence[float]) -> dict[str, Any]:
    # the last samples may show processes that are ending
    steady = [row for row, moment in enumerate(watch.times) if ends and ends[0] <= moment <= ends[-1]]
    if len(steady) < 2:
        raise IncdetError(f"{len(ends)} photos took too little time to be watched; give more of them")
    quarter = max(len(steady) // 4, 1)
    wall = watch.times[steady[-1]] - watch.times[steady[0]]
    return {
        "photos": len(ends),
        "first_photo_seconds": ends[0] - started,
        "photos_per_second": (len(ends) - 1) / (ends[-1] - ends[0]),
        "peak_gigabytes_first_quarter": max(watch.gigabytes[row] for row in steady[:quarter]),
        "peak_gigabytes_last_quarter": max(watch.gigabytes[row] for row in steady[-quarter:]),
        "cores_used": (watch.cpu_seconds[steady[-1]] - watch.cpu_seconds[steady[0]]) / wall,
        "cores": num_cores(),
    }
