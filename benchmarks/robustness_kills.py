"""Processes that are killed at random moments: what goes on afterwards ends with the bytes of a run in one go."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from incdet.errors import IncdetError

MAX_SECONDS = 500.0
"""Time after which a run that is not killed counts as standing still."""

_TEMPORARY = ".incdet."
"""Beginning of the names of files that are not whole."""


@dataclass(frozen=True)
class KilledJob:
    """A job that is killed and started again.

    Attributes:
        name: Its name in tables.
        num_kills: Number of kills in the whole campaign.
        run: The work of a process, in the present folder, where the data lies.
        results: Patterns of the files in that folder that must be the same.
    """

    name: str
    num_kills: int
    run: Callable[[], None]
    results: tuple[str, ...]


@dataclass
class Chain:
    """Kills of one job in one folder, and what the last run made of it.

    Attributes:
        num_kills: Number of runs that were killed before they ended.
        num_ended: Number of runs that ended before they were killed.
        differences: Names of files that differ from those of a run in one go, that are missing or too many.
        code: Exit code of the last run.
    """

    num_kills: int = 0
    num_ended: int = 0
    differences: tuple[str, ...] = ()
    code: int = 0

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost."""
        return self.code == 0 and not self.differences


def start(job: KilledJob, folder: Path) -> int:
    """Starts a job in a process group of its own, which has everything loaded that this process has."""
    process = os.fork()
    if process:
        # the child does the same: whoever comes first
        with suppress(OSError):
            os.setpgid(process, process)
        return process
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        log = os.open(folder.with_name(f"{folder.name}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        job.run()
        code = 0
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    except IncdetError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
    finally:
        # flushed by hand, because nothing of the parent's may run at the end of this process
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(process: int, seconds: float) -> int | None:
    """Returns the exit code of a process, None where it has not ended after some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)


def run_whole(job: KilledJob, folder: Path) -> tuple[float, int]:
    """Runs a job without a kill; returns seconds and exit code."""
    began = time.monotonic()
    process = start(job, folder)
    code = wait(process, MAX_SECONDS)
    if code is None:
        kill(process)
        code = -1
    return time.monotonic() - began, code


def kill(process: int) -> None:
    """Kills a process and those that it has started, and waits for its end."""
    with suppress(OSError):
        os.killpg(process, signal.SIGKILL)
    with suppress(OSError):
        os.waitpid(process, 0)


def run_chain(
    job: KilledJob, folders: tuple[Path, Path, Path], seconds: float, num_kills: int, generator: np.random.Generator
) -> Chain:
    """Kills a job several times in the same folder, lets it end, and compares.

    Args:
        job: The job.
        folders: The data, the results of a run in one go, and the folder to work in.
        seconds: Duration of a run in one go.
        num_kills: Number of kills.
        generator: Source of the moments.
    """
    data, whole, folder = folders
    shutil.copytree(data, folder, symlinks=True, copy_function=shutil.copy2)
    chain = Chain()
    for _ in range(num_kills):
        process = start(job, folder)
        if wait(process, generator.uniform(0, 0.95) * seconds) is None:
            kill(process)
            chain.num_kills += 1
        else:
            chain.num_ended += 1
    _, chain.code = run_whole(job, folder)
    chain.differences = tuple(differences(job, whole, folder))
    return chain


def differences(job: KilledJob, whole: Path, folder: Path) -> list[str]:
    """Returns the names of files that are not those of a run in one go, and of unfinished ones that were left."""
    names = [
        {str(file.relative_to(place)) for pattern in job.results for file in place.glob(pattern) if file.is_file()}
        for place in (whole, folder)
    ]
    wrong = sorted(names[0] ^ names[1])
    for name in sorted(names[0] & names[1]):
        if (whole / name).read_bytes() != (folder / name).read_bytes():
            wrong.append(name)
    wrong += [str(file.relative_to(folder)) for file in folder.rglob(f"{_TEMPORARY}*") if file.is_file()]
    return wrong
